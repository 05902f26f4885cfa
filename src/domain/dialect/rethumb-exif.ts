import type { Place } from '../info/place.ts'
import type { PlainGroup } from '../info/plain-value.ts'

/** Tags of the first directory of EXIF, on the file; all others are on the taking. */
const FILE_TAGS = new Set([
  'ImageWidth',
  'ImageLength',
  'BitsPerSample',
  'Compression',
  'PhotometricInterpretation',
  'ImageDescription',
  'Make',
  'Model',
  'Orientation',
  'SamplesPerPixel',
  'XResolution',
  'YResolution',
  'PlanarConfiguration',
  'ResolutionUnit',
  'TransferFunction',
  'Software',
  'DateTime',
  'Artist',
  'HostComputer',
  'WhitePoint',
  'PrimaryChromaticities',
  'YCbCrCoefficients',
  'YCbCrSubSampling',
  'YCbCrPositioning',
  'ReferenceBlackWhite',
  'Rating',
  'RatingPercent',
  'Copyright',
])

/**
 * EXIF as rethumb told it: in groups, with rationals as strings.
 * @param exif As in `MetadataGroups`.
 * @param place Absent: nobody is to know where it was taken.
 * @example rethumbExif({ Make: 'Canon', ExposureTime: '1/250' }) // { IFD0: { Make: 'Canon' }, EXIF: { ExposureTime: '1/250' } }
 */
export function rethumbExif(exif: PlainGroup, place?: Place): Readonly<Record<string, PlainGroup>> {
  const tags = Object.entries(exif)
  const groups = {
    IFD0: Object.fromEntries(tags.filter(([name]) => FILE_TAGS.has(name))),
    EXIF: Object.fromEntries(tags.filter(([name]) => !FILE_TAGS.has(name))),
    GPS: place ? gpsGroup(place) : {},
  }
  return Object.fromEntries(Object.entries(groups).filter(([, group]) => Object.keys(group).length > 0))
}

function gpsGroup({ latitude, longitude, altitude }: Place): PlainGroup {
  return {
    GPSLatitudeRef: latitude < 0 ? 'S' : 'N',
    GPSLatitude: degrees(latitude),
    GPSLongitudeRef: longitude < 0 ? 'W' : 'E',
    GPSLongitude: degrees(longitude),
    ...(altitude !== undefined && {
      GPSAltitudeRef: altitude < 0 ? 1 : 0,
      GPSAltitude: `${Math.round(Math.abs(altitude) * 100)}/100`,
    }),
  }
}

/** Degrees, minutes, and seconds to the hundredth, which is 30 cm. */
function degrees(value: number): readonly string[] {
  const hundredths = Math.round(Math.abs(value) * 360_000)
  return [
    `${Math.floor(hundredths / 360_000)}/1`,
    `${Math.floor((hundredths % 360_000) / 6000)}/1`,
    `${hundredths % 6000}/100`,
  ]
}
