import type { Middleware } from 'koa'
import {
  assertUploadParameters,
  parsePrimeSizes,
  primedSpecs,
  type SizePolicy,
} from '../../domain/access/size-policy.ts'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import { selectRange } from '../../domain/caching/http-caching.ts'
import { visibleInfo } from '../../domain/info/image-info.ts'
import { type ImageRecord, imageUrls, publicRecord } from '../../domain/info/image-record.ts'
import { parseUploadParameters } from '../../domain/info/upload-parameters.ts'
import { contentTypeOf, type InputFormat } from '../../domain/spec/image-format.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import type { AliasService } from '../../service/library/alias-service.ts'
import type { DeletionService } from '../../service/library/deletion-service.ts'
import type { InfoService, RecordService } from '../../service/library/info-service.ts'
import type { IngestService } from '../../service/library/ingest-service.ts'
import type { OriginalService } from '../../service/originals/fetch.ts'
import type { PrimeService } from '../../service/renditions/prime.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { API_HEADERS, answerJson, RangeError416 } from '../answer/error-response.ts'
import { completeBody } from '../request/complete-body.ts'
import { uploadBody } from '../request/request-body.ts'
import { assertMay, assertMayKnow, conditionsOf, idOf, isTrusted, type RequestState } from '../request/request-state.ts'

export interface ImagesHandlerOptions {
  readonly ingest: IngestService
  readonly records: RecordService
  readonly originals: OriginalService
  readonly deletions: DeletionService
  readonly aliases: AliasService
  readonly primes: PrimeService
  /** Parses the size hints in a form of Reticulum. */
  readonly readSpec: (text: string) => Spec
  /** Rendered in advance for every upload. */
  readonly primeSizes: readonly Spec[]
  readonly metrics: Metrics
  readonly access: WriteAccess
  readonly policy: SizePolicy
  /** Prefix of URLs in responses; empty: they begin with a slash. */
  readonly publicUrl: string
  readonly maxUploadBytes: number
}

/**
 * `POST /images[?sizes=…][&labels=…][&name=…][&source=…][&complete=true]`: `201` for a new image, `200` for one that exists already.
 */
export function uploadHandler(options: ImagesHandlerOptions): Middleware<RequestState> {
  const { ingest, primes, primeSizes, metrics, access, policy, maxUploadBytes } = options
  return async (ctx) => {
    assertMay('upload', ctx, access)
    const query = new URLSearchParams(ctx.querystring)
    assertUploadParameters(query)
    const sizes = primedSpecs([...primeSizes, ...parsePrimeSizes(query, policy)], policy)
    const { mustEnd, details } = parseUploadParameters(query)
    const body = uploadBody(ctx.req, maxUploadBytes)
    const { record, created } = await ingest.ingest(mustEnd ? completeBody(body) : body, details, ctx.state.signal)
    primes.prime(record.id, sizes)
    metrics.uploads.inc({ created: String(created) })
    ctx.status = created ? 201 : 200
    ctx.set('Location', `${options.publicUrl}/images/${record.id}`)
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'no-store' })
    ctx.body = describeImage(record, options)
  }
}

/** `GET /images/<id>`: the record. */
export function recordHandler(options: ImagesHandlerOptions): Middleware<RequestState> {
  const { access, policy } = options
  return async (ctx) => {
    assertMayKnow(ctx, policy, access)
    const record = await options.records.record(idOf(ctx), ctx.state.signal)
    const visible = isTrusted(ctx, access) ? record : publicRecord(record)
    // The image may be deleted: a cached copy must be revalidated. And no shared cache has what needs a token.
    const hasDetails = Object.keys(publicRecord(record)).length < Object.keys(record).length
    const isPrivate = policy.kind === 'signed' || (hasDetails && visible === record)
    answerJson(ctx, describeImage(visible, options), {
      'Cache-Control': isPrivate ? 'private, no-cache' : 'no-cache',
      ...(hasDetails && { Vary: 'Authorization' }),
    })
  }
}

/** `GET /images/<id>/original`: the bytes as uploaded, or a range of them, always as a download. */
export function originalHandler({ records, originals, access }: ImagesHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    assertMay('original', ctx, access)
    const id = idOf(ctx)
    const { format, bytes: sizeBytes } = await records.record(id, ctx.state.signal)
    const validators = { etag: `"${id}"`, lastModified: '' }
    const range = selectRange(conditionsOf(ctx), validators, sizeBytes)
    if (range === 'unsatisfiable') throw new RangeError416(sizeBytes)
    const { start, end } = range ?? { start: 0, end: sizeBytes - 1 }
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'private, no-store', 'Accept-Ranges': 'bytes', ETag: validators.etag })
    ctx.type = contentTypeOf(format)
    ctx.set('Content-Disposition', `attachment; filename="${id}.${extensionOf(format)}"`)
    if (range) ctx.set('Content-Range', `bytes ${start}-${end}/${sizeBytes}`)
    ctx.status = range ? 206 : 200
    if (ctx.method !== 'HEAD') ctx.body = await originals.open({ id, sizeBytes, range }, ctx.state.signal)
    ctx.length = end - start + 1
  }
}

/**
 * `DELETE /images/<id or SHA-1>`: removes the image from the store, and within seconds from the caches of all nodes.
 */
export function deleteHandler({ deletions, access }: ImagesHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    assertMay('deletion', ctx, access)
    await deletions.remove(idOf(ctx), ctx.state.signal)
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'no-store' })
    ctx.status = 204
  }
}

function describeImage(record: ImageRecord, { publicUrl, policy }: ImagesHandlerOptions) {
  return { ...record, urls: imageUrls(record, publicUrl, policy) }
}

function extensionOf(format: InputFormat): string {
  return format === 'jpeg' ? 'jpg' : format
}

export interface InfoHandlerOptions extends Pick<ImagesHandlerOptions, 'records' | 'access' | 'policy' | 'publicUrl'> {
  readonly infos: InfoService
  /** Whether a request with a token also sees where the picture was taken. */
  readonly showGps: boolean
}

/** `GET /images/<id>/info`: the record, the measured properties and the metadata of the file. */
export function infoHandler(options: InfoHandlerOptions): Middleware<RequestState> {
  const { records, infos, access, showGps, policy, publicUrl } = options
  return async (ctx) => {
    assertMayKnow(ctx, policy, access)
    const id = idOf(ctx)
    const record = await records.record(id, ctx.state.signal)
    const info = await infos.info(id, ctx.state.signal)
    const trusted = isTrusted(ctx, access)
    const value = {
      ...(trusted ? record : publicRecord(record)),
      ...visibleInfo(info, { isTrusted: trusted, showGps }),
      urls: imageUrls(record, publicUrl, policy),
    }
    // The image may be deleted: a cached copy must be revalidated. And no shared cache has what needs a token.
    answerJson(ctx, value, {
      'Cache-Control': trusted ? 'private, no-cache' : 'no-cache',
      Vary: 'Authorization',
    })
  }
}
