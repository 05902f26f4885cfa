import { OUTPUT_FORMATS } from '../../domain/spec/image-format.ts'
import type { ErrorCode } from '../../errors.ts'
import { MAX_LISTED } from './feed-handlers.ts'
import { EVENT_OPERATIONS } from './openapi-event-operations.ts'
import { NODE_OPERATIONS } from './openapi-node-operations.ts'
import {
  BUCKET,
  FILE,
  ID,
  IMAGE_INFO,
  IMAGE_RECORD,
  inPath,
  inQuery,
  json,
  KEY,
  LINES,
  type Parameter,
  SIGNATURE,
  SPEC,
  SPEC_GRAMMAR,
  TOKEN,
  TOKEN_ERRORS,
  VERSION,
  VERSION_INFO,
} from './openapi-schemas.ts'

/** One operation of the API. Each route of `routes.ts` names its operations. */
export interface Operation {
  readonly method: 'get' | 'post' | 'delete'
  readonly path: string
  readonly summary: string
  readonly description?: string
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: object
  readonly responses: Readonly<Record<number, object>>
  /** Errors beside those that every operation has. */
  readonly errors: readonly ErrorCode[]
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[]
}

const TOKEN_OR_NONE = [{}, { token: [] }] as const

const binary = (types: readonly string[]) =>
  Object.fromEntries(types.map((type) => [type, { schema: { type: 'string', format: 'binary' } }]))

/** The Accept header and the original decide about the format. */
const PICTURE_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'image/avif', 'image/gif', 'image/tiff'] as const
const PICTURE = {
  200: { description: 'The picture.', content: binary(PICTURE_TYPES) },
  206: { description: 'A part of the picture.', content: binary(PICTURE_TYPES) },
  301: { description: 'The canonical spelling of the URL.' },
  302: { description: 'The next allowed size, with SIZES_FALLBACK=redirect.' },
  304: { description: 'The copy of the client is current.' },
} as const
const PICTURE_ERRORS = [
  'invalid_path',
  'size_not_allowed',
  'signature_invalid',
  'signature_expired',
  'original_not_found',
  'original_deleted',
  'precondition_failed',
  'range_not_satisfiable',
  'original_unsupported',
  'original_broken',
  'original_too_large',
  'too_many_requests',
] as const satisfies readonly ErrorCode[]
const OBJECT_ERRORS = [...PICTURE_ERRORS, 'bucket_not_found'] as const
const REMOTE_ERRORS = [...PICTURE_ERRORS, 'remote_not_allowed', 'remote_failed'] as const
const RECORD_ERRORS = ['invalid_path', 'original_not_found', 'original_deleted', ...TOKEN_ERRORS] as const
const LIMITED_RECORD_ERRORS = [...RECORD_ERRORS, 'too_many_requests'] as const
const UPLOAD_ERRORS = [
  'invalid_upload',
  'original_too_large',
  'original_unsupported',
  'original_broken',
  'store_full',
  ...TOKEN_ERRORS,
] as const

export const OPERATIONS = {
  viewUpload: {
    method: 'get',
    path: '/image/{id}/{spec}',
    summary: 'An uploaded image at any size',
    parameters: [ID, SPEC, ...SIGNATURE],
    responses: PICTURE,
    errors: PICTURE_ERRORS,
  },
  viewNamedUpload: {
    method: 'get',
    path: '/image/{id}/{spec}/{file}',
    summary: 'An uploaded image at any size, with a file name',
    parameters: [ID, SPEC, FILE, ...SIGNATURE],
    responses: PICTURE,
    errors: PICTURE_ERRORS,
  },
  viewRemote: {
    method: 'get',
    path: '/image',
    summary: 'An image of an allowed host (REMOTE_HOSTS) at any size, or its metadata (size=info)',
    parameters: [
      inQuery('url', 'URL of the image, percent-encoded.', { type: 'string' }, true),
      inQuery('size', `${SPEC_GRAMMAR} Default: full.`, { type: 'string' }),
      inQuery('format', 'Default: the best format that the client accepts.', { enum: [...OUTPUT_FORMATS] }),
      ...SIGNATURE,
    ],
    responses: {
      ...PICTURE,
      200: { description: 'The picture.', content: { ...PICTURE[200].content, ...json(VERSION_INFO) } },
    },
    errors: [...REMOTE_ERRORS, ...TOKEN_ERRORS],
    security: TOKEN_OR_NONE,
  },
  viewObject: {
    method: 'get',
    path: '/s3/{bucket}/{key}/-/{spec}',
    summary: 'An object of a configured bucket at any size',
    parameters: [BUCKET, KEY, SPEC, VERSION, ...SIGNATURE],
    responses: PICTURE,
    errors: OBJECT_ERRORS,
  },
  viewNamedObject: {
    method: 'get',
    path: '/s3/{bucket}/{key}/-/{spec}/{file}',
    summary: 'An object of a configured bucket at any size, with a file name',
    parameters: [BUCKET, KEY, SPEC, FILE, VERSION, ...SIGNATURE],
    responses: PICTURE,
    errors: OBJECT_ERRORS,
  },
  objectInfo: {
    method: 'get',
    path: '/s3/{bucket}/{key}/-/info',
    summary: 'Metadata of an object',
    parameters: [BUCKET, KEY, VERSION],
    responses: { 200: { description: 'The metadata.', content: json(VERSION_INFO) }, 304: PICTURE[304] },
    errors: [...OBJECT_ERRORS, ...TOKEN_ERRORS],
    security: TOKEN_OR_NONE,
  },
  viewRethumb: {
    method: 'get',
    path: '/v1/{path}',
    summary: 'A remote image by a URL in the grammar of rethumb',
    parameters: [
      inPath(
        'path',
        'Parameters, then the URL; with slashes.',
        { type: 'string' },
        'width/400/https://a.example/b.jpg',
      ),
    ],
    responses: {
      ...PICTURE,
      400: { description: 'A picture that stands for the error.', content: binary(['image/png']) },
    },
    errors: [...REMOTE_ERRORS, ...TOKEN_ERRORS],
    security: TOKEN_OR_NONE,
  },
  upload: {
    method: 'post',
    path: '/images',
    summary: 'Upload an image',
    description:
      'The body is the image, or a form with one file. The id is derived from the bytes, so a second upload is the same image.',
    parameters: [
      inQuery('sizes', 'Sizes to render in advance, separated by spaces.', { type: 'string' }),
      inQuery('labels', 'Labels of a new image, separated by spaces: at most 20 of 1 to 64 of a-z 0-9 . _ -.', {
        type: 'string',
      }),
      inQuery('name', 'File name at the sender, for the record.', { type: 'string' }),
      inQuery('source', 'Name of the sender or entry point, for the record.', { type: 'string' }),
      inQuery('complete', 'Refuse an image whose container does not end, as after a cut transfer.', {
        type: 'boolean',
      }),
    ],
    requestBody: {
      required: true,
      content: {
        ...binary(['image/*', 'application/octet-stream']),
        'multipart/form-data': { schema: { type: 'object' } },
      },
    },
    responses: {
      200: { description: 'The image exists already.', content: json(IMAGE_RECORD) },
      201: { description: 'The image was stored.', content: json(IMAGE_RECORD) },
    },
    errors: ['invalid_path', 'size_not_allowed', ...UPLOAD_ERRORS],
    security: TOKEN,
  },
  list: {
    method: 'get',
    path: '/images',
    summary: 'Records of uploaded images, by id',
    description: 'JSON lines. The header Link has the URL of the next page, if there is one.',
    parameters: [
      inQuery('after', 'Id of the last image of the page before.', { type: 'string' }),
      inQuery('label', 'Only images with this label.', { type: 'string' }),
      inQuery('limit', 'Images of a page. Default: 100.', { type: 'integer', minimum: 1, maximum: MAX_LISTED }),
    ],
    responses: { 200: { description: 'A record on each line.', content: LINES } },
    errors: ['invalid_path', 'invalid_cursor', ...TOKEN_ERRORS],
    security: TOKEN,
  },
  record: {
    method: 'get',
    path: '/images/{id}',
    summary: 'The record of an image',
    parameters: [ID],
    responses: {
      200: { description: 'The record.', content: json(IMAGE_RECORD) },
      301: PICTURE[301],
      304: PICTURE[304],
    },
    errors: LIMITED_RECORD_ERRORS,
    security: TOKEN_OR_NONE,
  },
  remove: {
    method: 'delete',
    path: '/images/{id}',
    summary: 'Delete an image on all nodes',
    parameters: [ID],
    responses: { 204: { description: 'The image is deleted. An id without an image is no error.' } },
    errors: ['invalid_path', ...TOKEN_ERRORS],
    security: TOKEN,
  },
  info: {
    method: 'get',
    path: '/images/{id}/info',
    summary: 'Record and metadata of an image',
    description: 'Embedded metadata (EXIF, IPTC, XMP) requires a token.',
    parameters: [ID],
    responses: {
      200: { description: 'The metadata.', content: json(IMAGE_INFO) },
      301: PICTURE[301],
      304: PICTURE[304],
    },
    errors: [...LIMITED_RECORD_ERRORS, 'original_broken', 'original_unsupported'],
    security: TOKEN_OR_NONE,
  },
  original: {
    method: 'get',
    path: '/images/{id}/original',
    summary: 'The bytes as uploaded',
    parameters: [ID],
    responses: {
      200: { description: 'The original.', content: binary(['image/*']) },
      206: { description: 'A part of the original.', content: binary(['image/*']) },
      301: PICTURE[301],
    },
    errors: [...RECORD_ERRORS, 'range_not_satisfiable'],
    security: TOKEN,
  },
  reticulumUpload: {
    method: 'post',
    path: '/',
    summary: 'Upload in the protocol of Reticulum',
    requestBody: { required: true, content: { 'multipart/form-data': { schema: { type: 'object' } } } },
    responses: { 200: { description: 'The image was stored.', content: json({ type: 'object' }) } },
    errors: [...UPLOAD_ERRORS],
    security: TOKEN_OR_NONE,
  },
  ...EVENT_OPERATIONS,
  ...NODE_OPERATIONS,
} as const satisfies Readonly<Record<string, Operation>>
export type OperationName = keyof typeof OPERATIONS
