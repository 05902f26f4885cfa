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

const DEGREES = /^\s*[+-]?\d{1,3}(?:[,°]\s*\d{1,2}(?:\.\d+)?(?:[,'′]\s*\d{1,2}(?:\.\d+)?["″]?)?)\s*['′]?\s*[NSEW]\s*$/i
/** ISO 6709: latitude, longitude and optional further parts, such as `+51.4778-000.0015/`. */
const ISO_6709 = /^\s*[+-]\d{2,6}(?:\.\d+)?[+-]\d{3,7}(?:\.\d+)?/
const DECIMAL_PAIR = /^\s*[+-]?\d{1,2}\.\d{3,}\s*[NS]?\s*[,;\s]\s*[+-]?\d{1,3}\.\d{3,}\s*[EW]?\s*$/i
const NAMED = /gps[\s_-]*(?:lat|lon|alt|pos|coord|[:=\d])|\b(?:latitude|longitude|lat|lng|lon)\b["']?\s*[:=]|\bgeo:/i

/** Whether a text contains coordinates in one of the common notations, or mentions them. */
export function saysPlace(text: string): boolean {
  return DEGREES.test(text) || ISO_6709.test(text) || DECIMAL_PAIR.test(text) || NAMED.test(text)
}

function isWithin(value: unknown, limit: number): value is number {
  return typeof value === 'number' && Math.abs(value) <= limit
}

function round(value: number, places: number): number {
  return Math.round(value * 10 ** places) / 10 ** places
}
