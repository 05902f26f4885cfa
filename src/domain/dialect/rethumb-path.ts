import type { Place } from '../info/capture.ts'
import type { PlainGroup } from '../info/plain-value.ts'
import type { OutputFormat } from '../spec/image-format.ts'
import { invalidPath } from '../text/path-text.ts'
import { type DialectRequest, dialectFormat, malformed, percentDecode, wholeArgument } from './dialect.ts'
import { settleSpec, type Wish } from './dialect-spec.ts'

/** rethumb also supports TIFF. `source` is the format of the original, or PNG for a TIFF. */
export type RethumbFormat = OutputFormat | 'source'

/** The content of a URL of rethumb: a picture, or its EXIF. */
export type RethumbRequest =
  | (DialectRequest<RethumbFormat> & { readonly kind: 'picture' } & Versioned)
  | ({ readonly kind: 'exif'; readonly source: string } & Versioned)

interface Versioned {
  /** Letters and digits: each has its own cache entry. */
  readonly version?: string
}

/** An encoded URL is encoded as a whole; proxies merge slashes. */
const PATH = /^\/+v1\/(?<head>(?:[^/]*\/)*?)(?<url>https?(?::|%3[Aa]).*)$/s
/** `npm run docs` writes it into the rules of HAProxy. */
export const RETHUMB_PATH_PATTERN = PATH.source

/**
 * Reads a URL of rethumb.
 *
 * ```
 * path  = "/v1" 1*( "/" param "/" value ) "/" url       ; the parameters in any order, each once; http or https
 * param = "width" | "height" | "square" ; pixels        | "cover" ; <w>x<h>
 *       | "format" ; jpg, png, gif, tiff or webp        | "version" ; letters and digits        | "exif" ; all
 * ```
 *
 * Width and height together are an exact size, so they distort and enlarge.
 *
 * @param target The path as sent, with the query, which belongs to the image.
 * @throws RequestError `invalid_path` naming the invalid part.
 */
export function parseRethumbPath(target: string): RethumbRequest {
  const { head, url } = PATH.exec(target)?.groups ?? {}
  if (head === undefined || url === undefined) {
    throw invalidPath(
      'Malformed path: use /v1/{parameter}/{value}/…, ending with the URL of an image (http://… or https://…)',
    )
  }
  const params = readParams(head)
  const source = /^https?:/i.test(url) ? url : percentDecode(url)
  const version = params.get('version')
  if (version !== undefined && !/^[a-z0-9]{1,64}$/i.test(version)) {
    throw malformed(`version/${version}`, 'a version should have 1 to 64 letters and digits')
  }
  const versioned = version === undefined ? {} : { version }
  const exif = params.get('exif')
  if (exif !== undefined) {
    if (exif !== 'all') throw malformed(`exif/${exif}`, 'write exif/all')
    for (const name of params.keys()) {
      if (name !== 'exif' && name !== 'version')
        throw malformed(name, 'it cannot be combined with exif/all, which returns no image')
    }
    return { kind: 'exif', source, ...versioned }
  }
  return { kind: 'picture', source, spec: settleSpec(readWish(params)), format: readFormat(params), ...versioned }
}

type Params = ReadonlyMap<string, string>

const PARAMS: ReadonlySet<string> = new Set(['width', 'height', 'square', 'cover', 'format', 'version', 'exif'])

function readParams(head: string): Params {
  const parts = head.split('/').slice(0, -1)
  if (parts.length === 0) throw invalidPath('A parameter is missing before the URL, such as width/300')
  const params = new Map<string, string>()
  for (let index = 0; index < parts.length; index += 2) {
    const name = parts[index] ?? ''
    const value = parts[index + 1]
    if (!PARAMS.has(name)) throw malformed(name, `the parameter should be one of ${[...PARAMS].join(', ')}`)
    if (value === undefined) throw malformed(name, 'its value is missing')
    if (params.has(name)) throw malformed(`${name}/${value}`, 'specify each parameter once')
    params.set(name, value)
  }
  return params
}

function readWish(params: Params): Wish {
  const square = params.get('square')
  const cover = params.get('cover')
  const width = params.get('width')
  const height = params.get('height')
  const sizes = [square, cover, width ?? height].filter((size) => size !== undefined)
  if (sizes.length > 1) throw invalidPath('Conflicting sizes: use only one of width and height, "square" or "cover"')
  if (square !== undefined) {
    const length = side(square, 'square')
    return { width: length, height: length, fit: 'cover' }
  }
  if (cover !== undefined) {
    const [coverWidth = '', coverHeight = '', ...more] = cover.split('x')
    if (more.length > 0) throw malformed(`cover/${cover}`, 'write cover/300x200')
    return { width: side(coverWidth, `cover/${cover}`), height: side(coverHeight, `cover/${cover}`), fit: 'cover' }
  }
  return {
    width: width === undefined ? 0 : side(width, 'width'),
    height: height === undefined ? 0 : side(height, 'height'),
    fit: 'fill',
    up: width !== undefined && height !== undefined,
  }
}

function side(text: string, option: string): number {
  return wholeArgument(text, option, { min: 1, max: 999_999 })
}

function readFormat(params: Params): RethumbFormat {
  const format = params.get('format')
  if (format === undefined) return 'source'
  if (format === 'tiff' || format === 'tif') return 'tiff'
  return dialectFormat(format, `format/${format}`)
}

/** Tags of IFD0, about the file; all others are about the capture. */
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
 * EXIF in the format of rethumb: in groups, with rationals as strings.
 * @param exif As in `MetadataGroups`.
 * @param place Absent: the location is not shown.
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

/** Degrees, minutes, and hundredths of a second, which are 30 cm. */
function degrees(value: number): readonly string[] {
  const hundredths = Math.round(Math.abs(value) * 360_000)
  return [
    `${Math.floor(hundredths / 360_000)}/1`,
    `${Math.floor((hundredths % 360_000) / 6000)}/1`,
    `${hundredths % 6000}/100`,
  ]
}
