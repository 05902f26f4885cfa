import type { OriginalFacts, Size } from '../picture/original-facts.ts'
import { parseJson } from '../text/json-text.ts'
import { type Capture, captureOf, type MetadataGroups, type Place } from './capture.ts'
import { boundGroup, isPlainValue, type PlainGroup, tidyText } from './plain-value.ts'

/** The measured properties of an original, which can always be measured again. Stored as `infos/…`. */
export interface ImageInfo {
  readonly picture: PictureInfo
  readonly capture: CaptureInfo
  readonly place?: Place
}

/** Properties that are visible in the picture. */
export interface PictureInfo {
  /** Before the EXIF orientation; one frame. */
  readonly stored: Size
  /** EXIF orientation, 1-8. */
  readonly orientation: number
  /** `rgb`, `gray` or `cmyk`, else libvips' name; the profile defines the kind of rgb. */
  readonly colorSpace: string
  /** Name in the ICC profile; absent without a profile: then rgb is sRGB. */
  readonly iccProfile?: string
  readonly bitsPerSample: number
  readonly animation?: Animation
  /** `#rrggbb` */
  readonly dominantColor: string
  /** Base64. */
  readonly thumbHash: string
  /** Base83. */
  readonly blurHash: string
  /** dHash: 64 bits as 16 hex digits. */
  readonly perceptualHash: string
}

export interface Animation {
  /** Duration of one loop, by the file: browsers slow down frames shorter than 20 ms. */
  readonly durationMs: number
  /** Number of loops; 0: endless. */
  readonly loop: number
}

/** Metadata of the file: needs a token. */
export interface CaptureInfo extends Capture {
  readonly metadata: MetadataGroups
  /** Whether metadata was omitted because of its size. */
  readonly metadataCut?: true
}

/** Part of the key of an info; incremented when its form or a measurement changes. */
export const INFO_VERSION = 3

/** Together with the short form, the JSON stays below 64 KiB, the limit when it is read back. */
const MAX_METADATA_BYTES = { exif: 16_384, iptc: 12_288, xmp: 20_480 } as const
const MAX_PROFILE_NAME = 100

/** The result of the engine, before it is cleaned. */
export interface Measured extends Omit<PictureInfo, keyof Pick<OriginalFacts, 'stored' | 'orientation'>> {
  readonly metadata: MetadataGroups
  /** Whether some of it was too large to be read. */
  readonly metadataCut: boolean
  readonly place?: Place
}

/** Bounds and cleans the metadata of the file. */
export function imageInfo({ stored, orientation }: OriginalFacts, measured: Measured): ImageInfo {
  const { metadata, metadataCut, place, iccProfile, ...picture } = measured
  const profile = tidyText(iccProfile ?? '')
    .slice(0, MAX_PROFILE_NAME)
    .toWellFormed()
  const groups = (['exif', 'iptc', 'xmp'] as const).map((name) => {
    return { name, ...boundGroup(shownTags(name, metadata[name] ?? {}), MAX_METADATA_BYTES[name]) }
  })
  const shown: MetadataGroups = Object.fromEntries(
    groups.flatMap(({ name, group }) => (Object.keys(group).length === 0 ? [] : [[name, group]])),
  )
  return {
    picture: { stored, orientation, ...picture, ...(profile !== '' && { iccProfile: profile }) },
    capture: {
      ...captureOf(shown),
      metadata: shown,
      ...((metadataCut || groups.some(({ cut }) => cut)) && { metadataCut: true }),
    },
    ...(place && { place }),
  }
}

export interface Audience {
  /** Whether the request has a token. */
  readonly isTrusted: boolean
  /** Whether the location may be shown. */
  readonly showGps: boolean
}

/** The part of an info for an audience: `gps` only if both are true. */
export function visibleInfo({ picture, capture, place }: ImageInfo, { isTrusted, showGps }: Audience) {
  return {
    ...picture,
    ...(isTrusted && capture),
    ...(isTrusted && showGps && place && { gps: place }),
  }
}

export function formatInfo(info: ImageInfo): string {
  return JSON.stringify(info)
}

/** The inverse of `formatInfo`. @returns undefined for anything else. */
export function parseInfo(text: string): ImageInfo | undefined {
  const value = parseJson(text)
  return isInfo(value) ? value : undefined
}

/** A node of the same version wrote it: checking the parts is enough. */
function isInfo(value: unknown): value is ImageInfo {
  if (typeof value !== 'object' || value === null || !('picture' in value && 'capture' in value)) return false
  const { picture, capture } = value
  if (typeof picture !== 'object' || picture === null || typeof capture !== 'object' || capture === null) return false
  return 'perceptualHash' in picture && 'metadata' in capture && Object.values(value).every(isPlainPart)
}

function isPlainPart(value: unknown): boolean {
  return isPlainValue(value, -3)
}

/**
 * Allow-lists of tags, by their standard names (XMP's without prefixes). None of them is defined to contain
 * coordinates. Maker notes, GeoTIFF, ambient conditions, binary tags and vendor tags are not listed: they may contain a
 * location, under any name.
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

/**
 * Dublin Core, XMP with its rights and media management, Photoshop, IPTC, PLUS, and the common tags of lenses and
 * keywords.
 */
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

/** The tags of a group that are on its allow-list. */
export function shownTags(name: keyof MetadataGroups, group: PlainGroup): PlainGroup {
  return Object.fromEntries(Object.entries(group).filter(([tag]) => SHOWN_TAGS[name].has(tag)))
}

function tags(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/,\s+/))
}

/** Bits that are kept of red, green and blue each: 4096 boxes of colours. */
const BOX_BITS = 4
const BOXES = 2 ** (3 * BOX_BITS)

/**
 * The dominant colour: the mean of the fullest of 4096 boxes of colours. Transparent pixels count less.
 * @param rgba Red, green, blue and alpha of each pixel, not premultiplied.
 * @returns `#rrggbb`; black for a picture without a visible pixel.
 */
export function dominantColour(rgba: Uint8Array): string {
  // Four numbers for each box: an object for each pixel took several times as long.
  const boxes = new Float64Array(4 * BOXES)
  let fullest = 0
  for (let pixel = 0; pixel < rgba.length; pixel += 4) {
    const red = valueAt(rgba, pixel)
    const green = valueAt(rgba, pixel + 1)
    const blue = valueAt(rgba, pixel + 2)
    const alpha = valueAt(rgba, pixel + 3)
    const box = 4 * ((coarse(red) << (2 * BOX_BITS)) | (coarse(green) << BOX_BITS) | coarse(blue))
    boxes[box] = valueAt(boxes, box) + red * alpha
    boxes[box + 1] = valueAt(boxes, box + 1) + green * alpha
    boxes[box + 2] = valueAt(boxes, box + 2) + blue * alpha
    boxes[box + 3] = valueAt(boxes, box + 3) + alpha
    if (valueAt(boxes, box + 3) > valueAt(boxes, fullest + 3)) fullest = box
  }
  const weight = Math.max(1, valueAt(boxes, fullest + 3))
  const mean = [0, 1, 2].map((channel) => Math.round(valueAt(boxes, fullest + channel) / weight))
  return `#${mean.map((value) => value.toString(16).padStart(2, '0')).join('')}`
}

function valueAt(values: Uint8Array | Float64Array, index: number): number {
  return values[index] ?? 0
}

function coarse(value: number): number {
  return value >> (8 - BOX_BITS)
}

/** Size of the grey picture that is hashed, pixels. */
export const HASHED_SIZE = { width: 9, height: 8 } as const

/**
 * dHash: for each pixel except the last of a row, whether its right neighbour is brighter; the first bit is that of the
 * top left pixel. Similar pictures differ in few of the 64 bits.
 *
 * @param grey 9x8 brightnesses, row by row.
 * @returns 16 hex digits.
 * @see https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
 */
export function differenceHash(grey: Uint8Array): string {
  const { width, height } = HASHED_SIZE
  let bits = 0n
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width - 1; column += 1) {
      const at = row * width + column
      bits = (bits << 1n) | ((grey[at] ?? 0) < (grey[at + 1] ?? 0) ? 1n : 0n)
    }
  }
  return bits.toString(16).padStart(16, '0')
}
