import { IMAGE_ID_PATTERN } from '../../domain/identity/image-id.ts'
import { INPUT_FORMATS } from '../../domain/spec/image-format.ts'

/** Content of a response or a request body. */
export const json = (schema: object) => ({ 'application/json': { schema } })

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
export const IMAGE_RECORD = { type: 'object', required: Object.keys(RECORD), properties: RECORD } as const

/** JSON schema of `GET /images/{id}/info`. */
export const IMAGE_INFO = {
  type: 'object',
  required: [...Object.keys(RECORD), ...ALWAYS_MEASURED],
  properties: { ...RECORD, ...MEASURED, ...EMBEDDED },
} as const

/** JSON schema of the metadata of an object or a remote image. */
export const VERSION_INFO = {
  type: 'object',
  required: [...Object.keys(FACTS), ...ALWAYS_MEASURED],
  properties: { ...FACTS, modifiedAt: { type: 'string', format: 'date-time' }, ...MEASURED, ...EMBEDDED },
} as const
