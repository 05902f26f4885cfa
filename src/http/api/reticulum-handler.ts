import type { Middleware } from 'koa'
import { assertTokensConfigured, holdsToken } from '../../domain/access/write-access.ts'
import { reticulumAnswer } from '../../domain/dialect/reticulum-answer.ts'
import { UnavailableError } from '../../errors.ts'
import { API_HEADERS } from '../answer/json-answer.ts'
import { isTrusted } from '../request/image-request.ts'
import type { RequestState } from '../request/request-state.ts'
import { reticulumForm } from '../request/reticulum-form.ts'
import { uploadForm } from '../request/upload-body.ts'
import type { ImagesHandlerOptions } from './images-handler.ts'

/** So many at once may send their image before their key: this disk is not to be filled by just anybody. */
const MAX_UNPROVEN = 32

/**
 * `POST /`: an upload as Reticulum takes it, in a form with `image`, `key` and `size_hints`, and answered in its words. The
 * image can be asked for by its SHA-1 too, which such a client may have computed. Nothing is ingested before the key was
 * seen and right, wherever in the form it stands.
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
    const { record, created } = await ingest.ingest(uploadForm(ctx.req, form), ctx.state.signal)
    await aliases.add(form.sha1(), record.id, ctx.state.signal)
    const answer = reticulumAnswer(record, publicUrl, policy)
    primes.prime(record.id, [...primeSizes, ...form.sizes], answer.extension)
    metrics.uploads.inc({ created: String(created) })
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'no-store' })
    ctx.type = 'application/json'
    ctx.body = JSON.stringify(answer)
  }
}
