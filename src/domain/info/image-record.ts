import { admittingQuery, offeredSpecs, type SizePolicy } from '../access/size-policy.ts'
import { isImageId } from '../identity/image-id.ts'
import { type InputFormat, isInputFormat } from '../spec/image-format.ts'
import { deviceBox, parseSpec, type Spec } from '../spec/spec.ts'
import { parseJson } from '../text/json-text.ts'
import { formatImagePath, type UploadRequest } from '../url/picture-url.ts'
import { isLabel } from './image-labels.ts'

/** What the sender of an original says about it. Responses contain it only for requests with a token. */
export interface UploadDetails {
  /** By `parseLabels`. */
  readonly labels?: readonly string[] | undefined
  /** File name at the sender, by `fileName`. */
  readonly name?: string | undefined
  /** The entry point if it is not HTTP, such as `ftp:alice`: at most 128 characters. */
  readonly source?: string | undefined
}

/** The record of an upload: stored as `records/…`, returned by `GET /images/{id}`. */
export interface ImageRecord extends UploadDetails {
  readonly id: string
  /** As displayed, after the EXIF orientation. Pixels. */
  readonly width: number
  readonly height: number
  readonly format: InputFormat
  /** Size of the original. */
  readonly bytes: number
  readonly alpha: boolean
  /** 1 for a still picture. */
  readonly frames: number
  /** ISO 8601, UTC. */
  readonly uploadedAt: string
}

export function formatRecord(record: ImageRecord): string {
  return JSON.stringify(record)
}

/** The inverse of `formatRecord`; unknown fields are left out. @returns undefined if the text is not a record. */
export function parseRecord(text: string): ImageRecord | undefined {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null) return undefined
  const { id, width, height, format, bytes, alpha, frames, uploadedAt, ...others }: Record<string, unknown> = {
    ...value,
  }
  if (typeof id !== 'string' || !isImageId(id)) return undefined
  if (typeof format !== 'string' || !isInputFormat(format)) return undefined
  if (!isCount(width) || !isCount(height) || !isCount(bytes) || !isCount(frames)) return undefined
  if (typeof alpha !== 'boolean' || typeof uploadedAt !== 'string') return undefined
  return { id, width, height, format, bytes, alpha, frames, uploadedAt, ...parseDetails(others) }
}

function parseDetails({ labels, name, source }: Readonly<Record<string, unknown>>): UploadDetails {
  const found = Array.isArray(labels) ? labels.filter((label) => typeof label === 'string' && isLabel(label)) : []
  return uploadDetails({
    labels: found.map(String),
    ...(typeof name === 'string' && { name }),
    ...(typeof source === 'string' && { source }),
  })
}

/** The details that are known, without empty ones. */
export function uploadDetails({ labels = [], name = '', source = '' }: UploadDetails): UploadDetails {
  return {
    ...(labels.length > 0 && { labels }),
    ...(name !== '' && { name }),
    ...(source !== '' && { source }),
  }
}

/** The record without its details, for requests without a token. */
export function publicRecord({ labels: _labels, name: _name, source: _source, ...record }: ImageRecord): ImageRecord {
  return record
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0
}

/** URLs for use in a page. */
export interface ImageUrls {
  /** For the `src` of an `<img>`: about 800 pixels wide, in the best format that the client supports. */
  readonly src: string
  /** For its `srcset`: no wider than the original. Empty if the policy offers no widths. */
  readonly srcset: string
  readonly html: string
  readonly record: string
  /** The record with all measured properties. */
  readonly info: string
  /** The bytes as uploaded; requires a token. */
  readonly original: string
}

const PREFERRED_WIDTH = 800

/** @param base Prefix of the URLs, without a trailing slash; empty: they begin with a slash. */
export function imageUrls(record: ImageRecord, base: string, policy: SizePolicy): ImageUrls {
  const { id, width, height } = record
  const url = (spec: Spec) => {
    const request: UploadRequest = { original: { kind: 'image', id }, spec }
    const query = admittingQuery(request, policy)
    return `${base}${formatImagePath(request)}${query === '' ? '' : `?${query}`}`
  }
  const widths = offeredSpecs(policy, width).flatMap((spec) => {
    const requested = deviceBox(spec).width
    // The last step is at least as wide as the original, which is not enlarged.
    const offered = policy.kind === 'steps' && requested !== undefined ? Math.min(requested, width) : requested
    return offered === undefined || offered > width ? [] : [{ spec, offered }]
  })
  const closest = widths.toSorted(
    (a, b) => Math.abs(a.offered - PREFERRED_WIDTH) - Math.abs(b.offered - PREFERRED_WIDTH),
  )[0]
  const src = url(closest?.spec ?? fallbackSpec(policy))
  const srcset = widths.map(({ spec, offered }) => `${url(spec)} ${offered}w`).join(', ')
  const sources = srcset === '' ? '' : ` srcset="${attribute(srcset)}" sizes="100vw"`
  return {
    src,
    srcset,
    html: `<img src="${attribute(src)}"${sources} width="${width}" height="${height}" alt="" style="max-width: 100%; height: auto">`,
    record: `${base}/images/${id}`,
    info: `${base}/images/${id}/info`,
    original: `${base}/images/${id}/original`,
  }
}

/** For originals smaller than every offered width. */
function fallbackSpec(policy: SizePolicy): Spec {
  return parseSpec(policy.kind === 'list' ? (policy.sizes[0] ?? 'full') : 'full')
}

function attribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;')
}
