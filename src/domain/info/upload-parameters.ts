import { RequestError } from '../../errors.ts'
import { fileName, parseLabels } from './image-labels.ts'
import type { UploadDetails } from './image-record.ts'

/** The parameters of `POST /images` beside the sizes. */
export interface UploadParameters {
  /** Whether the container of the image must end, as for uploads that no person watches. */
  readonly mustEnd: boolean
  readonly details: UploadDetails
}

const MAX_SOURCE_LENGTH = 128

/** @throws RequestError `invalid_upload` */
export function parseUploadParameters(query: URLSearchParams): UploadParameters {
  const [name, source] = [single(query, 'name'), single(query, 'source')]
  return {
    mustEnd: parseComplete(single(query, 'complete') ?? 'false'),
    details: {
      labels: parseLabels(query),
      ...(name !== undefined && { name: fileName(name) }),
      ...(source !== undefined && { source: sourceName(source) }),
    },
  }
}

/** The name of an entry point or a sender: without control characters, at most 128 characters. */
function sourceName(text: string): string {
  return text
    .replaceAll(/\p{Cc}/gu, '')
    .toWellFormed()
    .trim()
    .slice(0, MAX_SOURCE_LENGTH)
    .toWellFormed()
}

function single(query: URLSearchParams, name: string): string | undefined {
  const [value, ...others] = query.getAll(name)
  if (others.length === 0) return value
  throw new RequestError('invalid_upload', `${name}: given ${others.length + 1} times; give it once`)
}

function parseComplete(value: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true'
  throw new RequestError('invalid_upload', `complete: "${value}" should be true or false`)
}
