import { createHash } from 'node:crypto'
import type { Middleware } from 'koa'
import type { SizePolicy } from '../../domain/access/size-policy.ts'
import { parseSizeHints, primedSpecs } from '../../domain/access/size-policy.ts'
import { assertTokensConfigured, holdsToken } from '../../domain/access/write-access.ts'
import { reticulumAnswer } from '../../domain/dialect/reticulum-answer.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { RequestError, UnavailableError } from '../../errors.ts'
import { API_HEADERS } from '../answer/error-response.ts'
import { type FormRules, uploadForm } from '../request/request-body.ts'
import type { RequestState } from '../request/request-state.ts'
import { isTrusted } from '../request/request-state.ts'
import type { ImagesHandlerOptions } from './images-handler.ts'

/** Maximum concurrent uploads that send their image before their key, as they fill the disk without authorization. */
const MAX_UNPROVEN = 32

/**
 * `POST /`: an upload in the format of Reticulum, a form with `image`, `key` and `size_hints`, with Reticulum's
 * response. The image is also known by its SHA-1, which such a client may have computed. Nothing is ingested before the
 * key was verified, at any position in the form.
 */
export function reticulumUploadHandler(options: ImagesHandlerOptions): Middleware<RequestState> {
  const { ingest, aliases, primes, primeSizes, metrics, access, policy, readSpec, publicUrl } = options
  const unproven = new Set<RequestState>()
  return async (ctx) => {
    assertTokensConfigured('upload', access)
    const form = reticulumForm({
      mayWrite: isTrusted(ctx, access),
      isKey: (key) => holdsToken(`Bearer ${key}`, access),
      policy,
      readSpec,
      onUnproven() {
        if (unproven.size >= MAX_UNPROVEN) {
          throw new UnavailableError(
            'overloaded',
            'Too many uploads send the key after the image; send the key before the image',
          )
        }
        const release = () => void unproven.delete(ctx.state)
        unproven.add(ctx.state)
        ctx.res.once('close', release)
        return release
      },
    })
    const { record, created } = await ingest.ingest(uploadForm(ctx.req, form), {}, ctx.state.signal)
    await aliases.add(form.sha1(), record.id, ctx.state.signal)
    const answer = reticulumAnswer(record, publicUrl, policy)
    primes.prime(record.id, primedSpecs([...primeSizes, ...form.sizes], policy), answer.extension)
    metrics.uploads.inc({ created: String(created) })
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'no-store' })
    ctx.type = 'application/json'
    ctx.body = JSON.stringify(answer)
  }
}

/** The fields of Reticulum's upload form. */
const FIELDS = { image: 'image', key: 'key', hints: 'size_hints' } as const

export interface ReticulumFormOptions {
  /** Whether the request is authorized without the key. */
  readonly mayWrite: boolean
  readonly isKey: (key: string) => boolean
  readonly policy: SizePolicy
  /** Parses a size hint. */
  readonly readSpec: (text: string) => Spec
  /**
   * Called if the file comes before the key. Its error refuses the form; the returned function is called when the key
   * was verified.
   */
  readonly onUnproven: () => () => void
}

export interface ReticulumForm extends FormRules {
  /** Sizes to render in advance. To be called when the form has been read. */
  readonly sizes: readonly Spec[]
  /** Hex SHA-1 of the file. To be called once, when the form has been read. */
  sha1(): string
}

/** Reads such a form. The key is checked as soon as it arrives: a wrong one ends the upload. */
function reticulumForm({ mayWrite, isKey, policy, readSpec, onUnproven }: ReticulumFormOptions): ReticulumForm {
  const hash = createHash('sha1')
  let isProven = mayWrite
  let release = () => {}
  let sizes: readonly Spec[] = []
  return {
    get sizes() {
      return sizes
    },
    sha1: () => hash.digest('hex'),
    onField(name, value) {
      if (name === FIELDS.hints) sizes = parseSizeHints(FIELDS.hints, value, policy, readSpec)
      if (name !== FIELDS.key || isProven) return
      if (!isKey(value)) throw keyRequired('Invalid key. ')
      isProven = true
      release()
    },
    onFile(field) {
      if (field !== FIELDS.image) {
        throw new RequestError(
          'invalid_upload',
          `Unexpected file field "${field}": send the image in the field "${FIELDS.image}"`,
        )
      }
      if (!isProven) release = onUnproven()
    },
    onBytes: (chunk) => void hash.update(chunk),
    onEnd() {
      if (!isProven) throw keyRequired()
    },
  }
}

function keyRequired(mistake = ''): RequestError {
  return new RequestError(
    'token_required',
    `${mistake}Uploading requires a token: send it in the field "${FIELDS.key}", or as "Authorization: Bearer <token>"`,
  )
}
