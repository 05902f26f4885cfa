import type { Context, Middleware } from 'koa'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import type { OriginalRef } from '../../domain/identity/image-id.ts'
import { NotFoundLimitError, OriginalError } from '../../errors.ts'
import type { Viewer } from '../../service/load/admission.ts'
import type { NotFoundBudget } from '../../service/load/not-found-budget.ts'
import type { KnownOriginals } from '../../service/originals/known.ts'
import { type ClientOf, idOf, isTrusted, type RequestState, type ViewerOf } from './request-state.ts'

/**
 * Runs the work of a request for an original. A 404 is charged to the client. While its budget is spent, originals that this
 * node knows are still served, and the store is not asked for others. Requests from this machine and with a token are exempt.
 *
 * @throws NotFoundLimitError, and the errors of `work`.
 */
export type NotFoundLimit = (
  ctx: Context & { state: RequestState },
  original: OriginalRef,
  work: (viewer: Viewer) => Promise<void>,
) => Promise<void>

export interface NotFoundLimitOptions {
  readonly budget: NotFoundBudget
  readonly isKnown: KnownOriginals
  readonly clientOf: ClientOf
  readonly viewerOf: ViewerOf
  readonly access: WriteAccess
  /** Called when a request of this client for an upload is rejected. @param client The address. @param network By `clientNetwork`. */
  readonly onRejected?: (client: string, network: string) => void
}

/** Store requests for an original that does not exist. An id: mezzanine, original twice, mark of a deletion, alias. */
const STORE_REQUESTS = { image: 5, object: 1, remote: 1 } as const
const THIS_MACHINE = new Set(['127.0.0.1', '::1'])
/** The work of a request may have been that of another client, whose budget was spent. */
const ATTEMPTS = 3

export function createNotFoundLimit(options: NotFoundLimitOptions): NotFoundLimit {
  const { budget, isKnown, clientOf, viewerOf, access, onRejected } = options

  async function charged(ctx: Context, original: OriginalRef, viewer: Viewer, work: (viewer: Viewer) => Promise<void>) {
    const assertMayAsk = () => {
      const refusal = budget.refusal(viewer.client)
      if (refusal) throw refusal
    }
    try {
      await work({ ...viewer, assertMayAsk })
    } catch (error) {
      const isMissing = error instanceof OriginalError && error.code === 'original_not_found'
      if (isMissing && !isTrusted(ctx, access)) budget.spend(viewer.client, STORE_REQUESTS[original.kind])
      throw error
    }
  }

  return async (ctx, original, work) => {
    const viewer = viewerOf(ctx.req)
    const client = clientOf(ctx.req)
    if (THIS_MACHINE.has(client)) return await work(viewer)
    for (let attempt = 1; ; attempt += 1) {
      const refusal = budget.refusal(viewer.client)
      if (refusal) {
        if (isTrusted(ctx, access) || (await isKnown(original))) return await work(viewer)
        if (original.kind === 'image') onRejected?.(client, viewer.client)
        throw refusal
      }
      try {
        return await charged(ctx, original, viewer, work)
      } catch (error) {
        if (!(error instanceof NotFoundLimitError) || attempt === ATTEMPTS) throw error
      }
    }
  }
}

/** The same for the routes below `/images/<id>`. */
export function notFoundLimited(limit: NotFoundLimit): Middleware<RequestState> {
  return async (ctx, next) => {
    await limit(ctx, { kind: 'image', id: idOf(ctx) }, () => next())
  }
}
