import type { IncomingMessage } from 'node:http'
import { PassThrough, type Readable, Transform } from 'node:stream'
import { Busboy, type BusboyFileStream, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy'
import { tooManyBytes } from '../../domain/picture/original-facts.ts'
import { OriginalError, RequestError } from '../../errors.ts'

/** No byte for this long ends the request. Less than nginx's `client_body_timeout`, after which nginx resets the connection. */
const STALL_SECONDS = 30
/** Minimum average rate from the beginning, applied after the grace period. */
const MIN_BYTES_PER_SECOND = 8 * 1024
const GRACE_SECONDS = 20
const CHECK_MS = 1000
/** Characters of a wrong media type that its error repeats. */
const MOST_QUOTED = 60

/** Code of the error for a body that is incomplete. */
export type BodyError = 'invalid_upload' | 'invalid_event' | 'invalid_purge'

/**
 * A request's body as a stream. It fails with `client_too_slow` if no byte arrives for 30 s, or if the average rate falls below
 * 8 KiB/s after 20 s: each connection holds a place, and a client could hold many.
 *
 * @param onBreak Code of the error if the client closes the connection before the end.
 */
export function pacedBody(request: IncomingMessage, onBreak: BodyError): Readable {
  const began = performance.now()
  let lastByte = began
  let receivedBytes = 0
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      lastByte = performance.now()
      receivedBytes += chunk.length
      done(null, chunk)
    },
  })
  const timer = setInterval(() => {
    const now = performance.now()
    // The client has sent everything, or a full buffer stops it: in both cases this node is the slow one.
    if (request.complete || body.writableNeedDrain) {
      lastByte = now
      return
    }
    const reason = slowness({ seconds: (now - began) / 1000, idleSeconds: (now - lastByte) / 1000, receivedBytes })
    if (reason !== undefined) body.destroy(new RequestError('client_too_slow', reason))
  }, CHECK_MS)
  body.once('close', () => clearInterval(timer))
  const onClose = (cause?: unknown): void => {
    // After a refusal nothing is piped into this stream any more, so nothing else would end it.
    if (body.writableEnded) return
    body.destroy(new RequestError(onBreak, 'The connection was closed before the body ended', { cause }))
  }
  request.on('error', onClose).once('close', onClose)
  // An error without a reader must not end the process.
  body.on('error', () => {})
  // A request without a body has ended from the start, and emits nothing.
  return request.readableEnded ? body.end() : request.pipe(body)
}

interface Progress {
  /** Since the beginning. */
  readonly seconds: number
  /** Since the last byte. */
  readonly idleSeconds: number
  readonly receivedBytes: number
}

function slowness({ seconds, idleSeconds, receivedBytes }: Progress): string | undefined {
  if (idleSeconds >= STALL_SECONDS) return `The request body stalled: no data arrived for ${STALL_SECONDS} seconds`
  if (seconds < GRACE_SECONDS || receivedBytes / seconds >= MIN_BYTES_PER_SECOND) return undefined
  return `The request body arrived too slowly: the minimum is ${MIN_BYTES_PER_SECOND / 1024} KiB per second on average`
}

/** Checks of the parts of a form. An error of one refuses the whole form. */
export interface FormRules {
  /** Called for every field. */
  onField?(name: string, value: string): void
  /** Called before the first byte of the file. */
  onFile?(field: string): void
  /** Called for each chunk of the file. */
  readonly onBytes?: (chunk: Buffer) => void
  /** Called when the whole form has been read, before the end of the file is passed on. */
  onEnd?(): void
}

/**
 * The file of an upload: the body itself, or the one file of a `multipart/form-data`.
 *
 * @returns a stream that fails with `RequestError` (`invalid_upload`, `client_too_slow`), or ends when the whole body
 *   was valid: a second file fails it.
 * @throws RequestError, OriginalError for invalid headers.
 */
export function uploadBody(request: IncomingMessage, maxBytes: number): Readable {
  const { 'content-type': contentType = '', 'content-length': length, 'content-encoding': encoding } = request.headers
  const multipart = isForm(contentType)
  if (!multipart && !/^(?:image\/[\w.+-]+|application\/octet-stream)\s*(?:;|$)/i.test(contentType)) {
    throw wrongType(contentType)
  }
  assertNotEncoded(encoding)
  if (!multipart && length !== undefined && Number(length) > maxBytes) {
    throw tooManyBytes(maxBytes, Number(length))
  }
  return multipart ? singleFile(request, contentType, {}) : pacedBody(request, 'invalid_upload')
}

/**
 * The file of an upload that must be a form.
 * @returns a stream as `uploadBody` does. It fails with the errors of `rules`, and ends only after all of them.
 * @throws OriginalError, RequestError for invalid headers.
 */
export function uploadForm(request: IncomingMessage, rules: FormRules): Readable {
  const { 'content-type': contentType = '', 'content-encoding': encoding } = request.headers
  if (!isForm(contentType)) {
    throw new OriginalError(
      'original_unsupported',
      'Unsupported Content-Type: send the image in a form as multipart/form-data',
    )
  }
  assertNotEncoded(encoding)
  return singleFile(request, contentType, rules)
}

function wrongType(contentType: string): OriginalError {
  const remedy =
    'send the bytes of the image with its media type (such as image/jpeg), or as one file in multipart/form-data'
  const mediaType = contentType.replace(/;.*/s, '').trim().toLowerCase()
  const message =
    mediaType === 'multipart/form-data'
      ? 'The Content-Type "multipart/form-data" has no boundary: do not set this header, the HTTP client sets it for a form'
      : mediaType === ''
        ? `The Content-Type header is missing: ${remedy}`
        : `Unsupported Content-Type "${mediaType.slice(0, MOST_QUOTED)}": ${remedy}`
  return new OriginalError('original_unsupported', message)
}

function isForm(contentType: string): boolean {
  return /^multipart\/form-data\s*;/i.test(contentType)
}

function assertNotEncoded(encoding: string | undefined): void {
  if (encoding === undefined || encoding === 'identity') return
  throw new OriginalError('original_unsupported', 'Content-Encoding is not supported: send the image without it')
}

function singleFile(request: IncomingMessage, contentType: string, rules: FormRules): Readable {
  // First, as it may throw: an earlier body would have no reader.
  const parser = createParser(contentType)
  const body = pacedBody(request, 'invalid_upload')
  const file = new PassThrough()
  // An error without a reader must not end the process.
  file.on('error', () => {})
  let files = 0
  const fail = (cause: unknown) => {
    body.unpipe(parser)
    file.destroy(cause instanceof Error ? cause : new Error('The form could not be read'))
  }
  /** @returns false if the rule refused. */
  const obey = (rule: () => void): boolean => {
    try {
      rule()
      return true
    } catch (error) {
      fail(error)
      return false
    }
  }
  parser.on('field', (name: string, value: string) => void obey(() => rules.onField?.(name, value)))
  parser.on('file', (field: string, part: BusboyFileStream) => {
    files += 1
    part.on('error', fail)
    if (files > 1) {
      part.resume()
      fail(new RequestError('invalid_upload', 'The form contains several files: send one file'))
      return
    }
    if (file.destroyed || !obey(() => rules.onFile?.(field))) {
      part.resume()
      return
    }
    if (rules.onBytes) part.on('data', rules.onBytes)
    // The end is delayed until the rest of the form shows that this was the only file.
    part.pipe(file, { end: false })
  })
  parser.on('error', (cause) =>
    fail(new RequestError('invalid_upload', 'The form is not valid multipart/form-data', { cause })),
  )
  parser.on('finish', () => {
    if (files === 0) fail(new RequestError('invalid_upload', 'The form contains no file: add a file field'))
    else if (!file.destroyed && obey(() => rules.onEnd?.())) file.end()
  })
  body.on('error', fail)
  file.once('close', () => body.unpipe(parser))
  body.pipe(parser)
  return file
}

function createParser(contentType: string): BusboyInstance {
  const headers: BusboyHeaders = { 'content-type': contentType }
  try {
    return new Busboy({ headers, limits: { fields: 20, fieldSize: 65_536, parts: 30 } })
  } catch (cause) {
    throw new RequestError('invalid_upload', 'The Content-Type of the form has no boundary parameter (RFC 7578)', {
      cause,
    })
  }
}
