import { isList, type PlainGroup, type PlainValue } from './plain-value.ts'

/** Metadata about the capture of a picture. Members are absent if the file has no valid value. */
export interface Capture {
  /** ISO 8601; with an offset only if the file has one; otherwise in the camera's local time. */
  readonly capturedAt?: string
  readonly camera?: Camera
  readonly artist?: string
  readonly copyright?: string
  readonly caption?: string
}

/** With the names of EXIF. */
export interface Camera {
  readonly make?: string
  readonly model?: string
  readonly lens?: string
  /** Seconds. */
  readonly exposureTime?: number
  readonly fNumber?: number
  readonly iso?: number
  /** Millimetres. */
  readonly focalLength?: number
  /** 35 mm equivalent, millimetres. */
  readonly focalLengthIn35mm?: number
}

/** The metadata of a file, by standard; rationals as `1/250`, dates as in the file. */
export interface MetadataGroups {
  readonly exif?: PlainGroup
  readonly iptc?: PlainGroup
  readonly xmp?: PlainGroup
}

/** Longer texts are cut, as this is the short form. */
const MAX_TEXT = 500

/**
 * Reads the common fields. EXIF has precedence, as the camera wrote it; also for caption and rights, which people
 * mostly write into IPTC or XMP, as renditions do the same.
 *
 * @see https://www.cipa.jp/std/documents/e/DC-008-Translation-2019-E.pdf (4.6), https://iptc.org/std/photometadata/specification/
 */
export function captureOf({ exif = {}, iptc = {}, xmp = {} }: MetadataGroups): Capture {
  return present({
    capturedAt:
      exifTime(exif, 'DateTimeOriginal', 'OffsetTimeOriginal', 'SubSecTimeOriginal') ??
      isoTime(xmp['DateTimeOriginal']) ??
      isoTime(xmp['DateCreated']) ??
      exifTime(exif, 'DateTimeDigitized', 'OffsetTimeDigitized', 'SubSecTimeDigitized') ??
      isoTime(xmp['CreateDate']),
    camera: cameraOf(exif, xmp),
    artist: textOf(exif['Artist']) ?? textOf(iptc['By-line']) ?? textOf(xmp['creator']),
    copyright: textOf(exif['Copyright']) ?? textOf(iptc['Copyright Notice']) ?? textOf(xmp['rights']),
    caption: textOf(exif['ImageDescription']) ?? textOf(iptc['Caption/Abstract']) ?? textOf(xmp['description']),
  })
}

function cameraOf(exif: PlainGroup, xmp: PlainGroup): Camera | undefined {
  const camera = present({
    make: textOf(exif['Make']) ?? textOf(xmp['Make']),
    model: textOf(exif['Model']) ?? textOf(xmp['Model']),
    lens: textOf(exif['LensModel']) ?? textOf(xmp['Lens']) ?? textOf(xmp['LensModel']),
    exposureTime: positive(exif['ExposureTime']),
    fNumber: positive(exif['FNumber']),
    iso: positive(exif['ISOSpeedRatings']) ?? positive(exif['PhotographicSensitivity']),
    focalLength: positive(exif['FocalLength']),
    focalLengthIn35mm: positive(exif['FocalLengthIn35mmFilm']),
  })
  return Object.keys(camera).length === 0 ? undefined : camera
}

function exifTime(exif: PlainGroup, ...[time, offset, fraction]: [string, string, string]): string | undefined {
  const { date = '', clock = '' } =
    /^(?<date>\d{4}:\d\d:\d\d) (?<clock>\d\d:\d\d:\d\d)$/.exec(textOf(exif[time]) ?? '')?.groups ?? {}
  const digits = /^\d{1,9}$/.exec(textOf(exif[fraction]) ?? '')?.[0]
  const zone = /^(?:Z|[+-]\d\d:\d\d)$/.exec(textOf(exif[offset]) ?? '')?.[0]
  return isoTime(`${date.replaceAll(':', '-')}T${clock}${digits === undefined ? '' : `.${digits}`}${zone ?? ''}`)
}

const ISO =
  /^(?<day>(?<year>\d{4})-(?<month>\d\d)-(?<date>\d\d))T(?<clock>(?<hour>[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?)(?<zone>Z|[+-](?:0\d|1[0-4]):[0-5]\d)?$/

/** @returns undefined for an invalid time, such as the zeros of a camera whose clock was never set. */
function isoTime(value: PlainValue | undefined): string | undefined {
  const text = textOf(value)
  const { year, month, date } = ISO.exec(text ?? '')?.groups ?? {}
  if (Number(year) < 1800) return undefined
  const day = new Date(Date.UTC(Number(year), Number(month) - 1, Number(date)))
  return day.getUTCMonth() === Number(month) - 1 && day.getUTCDate() === Number(date) ? text : undefined
}

/** All items of a list; of translations, the default or the first. */
function textOf(value: PlainValue | undefined): string | undefined {
  if (typeof value === 'string') return value.trim().slice(0, MAX_TEXT).toWellFormed() || undefined
  if (typeof value !== 'object') return undefined
  if (isList(value)) return textOf(value.filter((item) => typeof item === 'string').join(', '))
  return textOf(value['x-default'] ?? Object.values(value)[0])
}

/** A number, a rational as `1/250`, or the first of several. */
function positive(value: PlainValue | undefined): number | undefined {
  if (typeof value === 'object') return isList(value) ? positive(value[0]) : undefined
  if (typeof value !== 'number' && typeof value !== 'string') return undefined
  const [numerator, denominator = 1] = String(value).split('/').map(Number)
  const number = Number(numerator) / denominator
  return Number.isFinite(number) && number > 0 ? Number(number.toPrecision(6)) : undefined
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** Without the members that are undefined. */
function present<T extends Record<string, PlainValue | Camera | undefined>>(values: T): Present<T>
function present(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** Where a picture was taken, WGS 84. */
export interface Place {
  /** Degrees, north positive. */
  readonly latitude: number
  /** Degrees, east positive. */
  readonly longitude: number
  /** Metres above the sea. */
  readonly altitude?: number
}

/** Checks the coordinates of a file, and rounds them to a centimetre. @returns undefined for invalid coordinates. */
export function parsePlace(latitude: unknown, longitude: unknown, altitude: unknown): Place | undefined {
  if (!isWithin(latitude, 90) || !isWithin(longitude, 180)) return undefined
  const place = { latitude: round(latitude, 7), longitude: round(longitude, 7) }
  return isWithin(altitude, 100_000) ? { ...place, altitude: round(altitude, 2) } : place
}

/**
 * The same for the texts of XMP: `51,28.6687N`, `51,28,40.12N`; an altitude as `4612/100`, with `1` for below sea
 * level.
 * @see https://developer.adobe.com/xmp/docs/XMPNamespaces/XMPDataTypes/#gpscoordinate
 */
export function parseXmpPlace(texts: {
  readonly latitude: unknown
  readonly longitude: unknown
  readonly altitude: unknown
  readonly altitudeRef: unknown
}): Place | undefined {
  const metres = parseRational(texts.altitude)
  return parsePlace(
    parseCoordinate(texts.latitude, 'NS'),
    parseCoordinate(texts.longitude, 'EW'),
    texts.altitudeRef === '1' && metres !== undefined ? -metres : metres,
  )
}

/** @param hemispheres The positive one first. */
function parseCoordinate(text: unknown, hemispheres: 'NS' | 'EW'): number | undefined {
  const {
    degrees,
    minutes,
    seconds = '0',
    side = '',
  } = /^\s*(?<degrees>\d{1,3}),(?<minutes>\d{1,2}(?:\.\d+)?)(?:,(?<seconds>\d{1,2}(?:\.\d+)?))?(?<side>[NSEW])\s*$/.exec(
    typeof text === 'string' ? text : '',
  )?.groups ?? {}
  const index = hemispheres.indexOf(side)
  if (degrees === undefined || minutes === undefined || index < 0) return undefined
  return (index === 0 ? 1 : -1) * (Number(degrees) + Number(minutes) / 60 + Number(seconds) / 3600)
}

function parseRational(text: unknown): number | undefined {
  const { over, under = '1' } =
    /^(?<over>\d+)(?:\/(?<under>\d+))?$/.exec(typeof text === 'string' ? text : '')?.groups ?? {}
  return over === undefined || Number(under) === 0 ? undefined : Number(over) / Number(under)
}

function isWithin(value: unknown, limit: number): value is number {
  return typeof value === 'number' && Math.abs(value) <= limit
}

function round(value: number, places: number): number {
  return Math.round(value * 10 ** places) / 10 ** places
}
