import { IMAGE_ID_PATTERN } from '../../domain/identity/image-id.ts'

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
