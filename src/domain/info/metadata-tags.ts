import type { MetadataGroups } from './capture.ts'
import type { PlainGroup } from './plain-value.ts'

/**
 * Allow-lists of tags, by the names that the standards give them (XMP's without prefixes). No tag of them is defined to hold
 * coordinates. Maker notes, GeoTIFF, ambient conditions, binary tags and tags of vendors are not listed: they may hold a location,
 * under any name.
 */
const EXIF = tags(`
  ImageWidth, ImageLength, BitsPerSample, Compression, PhotometricInterpretation, Orientation, SamplesPerPixel, PlanarConfiguration,
  XResolution, YResolution, ResolutionUnit, WhitePoint, PrimaryChromaticities, YCbCrCoefficients, YCbCrSubSampling, YCbCrPositioning,
  ReferenceBlackWhite, TransferFunction, ExtraSamples, SampleFormat, DocumentName, PageName, PageNumber,
  ImageDescription, Artist, Copyright, Software, ProcessingSoftware, HostComputer, DateTime, Rating, RatingPercent,
  XPTitle, XPComment, XPAuthor, XPKeywords, XPSubject,
  Make, Model, UniqueCameraModel, LocalizedCameraModel, CameraSerialNumber, CameraLabel,
  ExposureTime, FNumber, ExposureProgram, SpectralSensitivity, ISOSpeedRatings, PhotographicSensitivity, SensitivityType,
  StandardOutputSensitivity, RecommendedExposureIndex, ISOSpeed, TimeZoneOffset, SelfTimerMode, ExifVersion, DateTimeOriginal,
  DateTimeDigitized, OffsetTime, OffsetTimeOriginal, OffsetTimeDigitized, SubSecTime, SubSecTimeOriginal, SubSecTimeDigitized,
  ComponentsConfiguration, CompressedBitsPerPixel, ShutterSpeedValue, ApertureValue, BrightnessValue, ExposureBiasValue,
  MaxApertureValue, SubjectDistance, SubjectArea, MeteringMode, LightSource, Flash, FlashEnergy, FocalLength, FocalLengthIn35mmFilm,
  ImageNumber, UserComment, FlashpixVersion, ColorSpace, PixelXDimension, PixelYDimension, FocalPlaneXResolution,
  FocalPlaneYResolution, FocalPlaneResolutionUnit, ExposureIndex, SensingMethod, FileSource, SceneType, CustomRendered, ExposureMode,
  WhiteBalance, DigitalZoomRatio, SceneCaptureType, GainControl, Contrast, Saturation, Sharpness, SubjectDistanceRange,
  ImageUniqueID, CameraOwnerName, BodySerialNumber, LensSpecification, LensMake, LensModel, LensSerialNumber, CompositeImage, Gamma,
  OwnerName, SerialNumber, Lens`)

const IPTC = tags(`
  Object Type Reference, Object Attribute Reference, Object Name, Edit Status, Editorial Update, Urgency, Subject Reference, Category,
  Supplemental Category, Fixture Identifier, Keywords, Release Date, Release Time, Expiration Date, Expiration Time,
  Special Instructions, Action Advised, Reference Service, Reference Date, Reference Number, Date Created, Time Created,
  Digital Creation Date, Digital Creation Time, Originating Program, Program Version, Object Cycle, By-line, By-line Title,
  City, Province/State, Country/Primary Location Code, Country/Primary Location Name, Original Transmission Reference, Headline,
  Credit, Source, Copyright Notice, Contact, Caption/Abstract, Writer/Editor, Image Type, Image Orientation, Language Identifier,
  Short Document ID, Unique Document ID, Owner ID, Record Version, Coded Character Set`)

/** Of Dublin Core, XMP, its rights and media management, Photoshop, IPTC, PLUS, and the usual tags of lenses and keywords. */
const XMP = tags(`
  contributor, creator, date, description, format, identifier, language, publisher, relation, rights, source, subject, title, type,
  CreateDate, CreatorTool, Label, MetadataDate, ModifyDate, Nickname,
  Certificate, Marked, Owner, UsageTerms, WebStatement, DocumentID, InstanceID, OriginalDocumentID,
  AuthorsPosition, CaptionWriter, Category, City, ColorMode, Country, Credit, DateCreated, Headline, ICCProfile, Instructions, Source,
  State, SupplementalCategories, TransmissionReference, Urgency,
  AltTextAccessibility, CountryCode, ExtDescrAccessibility, IntellectualGenre, Scene, SubjectCode,
  AddlModelInfo, DigitalSourceType, DigImageGUID, Event, MaxAvailHeight, MaxAvailWidth, ModelAge, OrganisationInImageCode,
  OrganisationInImageName, PersonInImage,
  ImageSupplierImageID, MinorModelAgeDisclosure, ModelReleaseStatus, PropertyReleaseStatus,
  LensID, LensInfo, FlashCompensation, Firmware, hierarchicalSubject, TagsList`)

/** The tags that `/info` may show. XMP repeats those of EXIF. */
export const SHOWN_TAGS = { exif: EXIF, iptc: IPTC, xmp: new Set([...XMP, ...EXIF]) } as const satisfies {
  readonly [name in keyof MetadataGroups]-?: ReadonlySet<string>
}

/** The tags of a group that are on its list. */
export function shownTags(name: keyof MetadataGroups, group: PlainGroup): PlainGroup {
  return Object.fromEntries(Object.entries(group).filter(([tag]) => SHOWN_TAGS[name].has(tag)))
}

function tags(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/,\s+/))
}
