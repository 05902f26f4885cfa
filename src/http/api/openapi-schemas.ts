import { IMAGE_ID_PATTERN } from '../../domain/identity/image-id.ts'
import { INPUT_FORMATS } from '../../domain/spec/image-format.ts'
import type { ErrorCode } from '../../errors.ts'

/** Content of a response or a request body. */
export const json = (schema: object) => ({ 'application/json': { schema } })

/** Content of a response with a JSON value on each line. */
export const LINES = { 'application/x-ndjson': { schema: { type: 'string' } } } as const
/** For an operation that needs a token, and its errors. */
export const TOKEN = [{ token: [] }] as const
export const TOKEN_ERRORS = ['token_required', 'tokens_not_configured'] as const satisfies readonly ErrorCode[]

const COUNT = { type: 'integer', minimum: 1 } as const
const TEXT = { type: 'string' } as const
const GROUP = { type: 'object' } as const

const FACTS = {
  width: { ...COUNT, description: 'As displayed, after the EXIF orientation. Pixels.' },
  height: COUNT,
  format: { enum: [...INPUT_FORMATS] },
  bytes: { ...COUNT, description: 'Size of the original.' },
  alpha: { type: 'boolean' },
  frames: { ...COUNT, description: '1 for a still picture.' },
} as const

/** With a token, and if the upload had them. */
const DETAILS = {
  labels: { type: 'array', items: TEXT },
  name: { ...TEXT, description: 'File name at the sender.' },
  source: { ...TEXT, description: 'Entry point of the upload; absent: HTTP.' },
} as const

const RECORD = {
  id: { type: 'string', pattern: `^${IMAGE_ID_PATTERN}$` },
  ...FACTS,
  uploadedAt: { type: 'string', format: 'date-time' },
  urls: {
    type: 'object',
    required: ['src', 'srcset', 'html', 'record', 'info', 'original'],
    properties: { src: TEXT, srcset: TEXT, html: TEXT, record: TEXT, info: TEXT, original: TEXT },
  },
} as const

const MEASURED = {
  stored: { type: 'object', required: ['width', 'height'], properties: { width: COUNT, height: COUNT } },
  orientation: { type: 'integer', minimum: 1, maximum: 8 },
  colorSpace: TEXT,
  iccProfile: TEXT,
  bitsPerSample: COUNT,
  animation: {
    type: 'object',
    required: ['durationMs', 'loop'],
    properties: { durationMs: { type: 'integer' }, loop: { type: 'integer', description: '0: infinite.' } },
  },
  dominantColor: { type: 'string', pattern: '^#[0-9a-f]{6}$' },
  thumbHash: TEXT,
  blurHash: TEXT,
  perceptualHash: { type: 'string', pattern: '^[0-9a-f]{16}$' },
} as const
const ALWAYS_MEASURED = [
  'stored',
  'orientation',
  'colorSpace',
  'bitsPerSample',
  'dominantColor',
  'thumbHash',
  'blurHash',
  'perceptualHash',
]

/** With a token. */
const EMBEDDED = {
  capturedAt: TEXT,
  camera: GROUP,
  artist: TEXT,
  copyright: TEXT,
  caption: TEXT,
  metadata: { type: 'object', properties: { exif: GROUP, iptc: GROUP, xmp: GROUP } },
  metadataCut: { const: true },
  gps: {
    type: 'object',
    required: ['latitude', 'longitude'],
    properties: { latitude: { type: 'number' }, longitude: { type: 'number' }, altitude: { type: 'number' } },
  },
} as const

/** JSON schema of `GET /images/{id}`. */
export const IMAGE_RECORD = {
  type: 'object',
  required: Object.keys(RECORD),
  properties: { ...RECORD, ...DETAILS },
} as const

/** JSON schema of `GET /images/{id}/info`. */
export const IMAGE_INFO = {
  type: 'object',
  required: [...Object.keys(RECORD), ...ALWAYS_MEASURED],
  properties: { ...RECORD, ...DETAILS, ...MEASURED, ...EMBEDDED },
} as const

/** JSON schema of the metadata of an object or a remote image. */
export const VERSION_INFO = {
  type: 'object',
  required: [...Object.keys(FACTS), ...ALWAYS_MEASURED],
  properties: { ...FACTS, modifiedAt: { type: 'string', format: 'date-time' }, ...MEASURED, ...EMBEDDED },
} as const

/** A parameter object of OpenAPI. */
export type Parameter = Readonly<Record<string, unknown>>

export const SPEC_GRAMMAR =
  'Size and options: `<w>w`, `<h>h`, `<w>w<h>h`, `<n>s` or `full`, then comma-separated options such as `cover`, `smart`, `2x`, `q80`, ' +
  '`rot90`, `gray`. Lengths are CSS pixels. `docs/rendering.md` has the grammar.'

export const inPath = (name: string, description: string, schema: object, example: string): Parameter => ({
  name,
  in: 'path',
  required: true,
  description,
  schema,
  example,
})
export const inQuery = (name: string, description: string, schema: object, required = false): Parameter => ({
  name,
  in: 'query',
  required,
  description,
  schema,
})

const EXAMPLE_ID = '82343c717326f81108374e694e36782edb04a441'
export const ID = inPath('id', 'Id of the image.', { type: 'string', pattern: `^${IMAGE_ID_PATTERN}$` }, EXAMPLE_ID)
export const SPEC = inPath(
  'spec',
  `${SPEC_GRAMMAR} An extension (\`.webp\`) selects the format; without one the node chooses the best format that the client accepts.`,
  { type: 'string', minLength: 1 },
  '400w',
)
export const FILE = inPath(
  'file',
  'Any name with the extension of the format.',
  { type: 'string', minLength: 1 },
  'cat.webp',
)
export const BUCKET = inPath('bucket', 'Alias of a bucket in BUCKETS_FILE.', { type: 'string', minLength: 1 }, 'photos')
export const KEY = inPath(
  'key',
  'Key of the object. A slash may be written as it is.',
  { type: 'string', minLength: 1 },
  'cat.jpg',
)
export const VERSION = inQuery('versionId', 'Version of the object. Absent: the current one.', { type: 'string' })
export const SIGNATURE = [
  inQuery('s', 'Signature, with SIZE_POLICY=signed.', { type: 'string' }),
  inQuery('e', 'Expiry of the signature, seconds since 1970.', { type: 'integer' }),
] as const
