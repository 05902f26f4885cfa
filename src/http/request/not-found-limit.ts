import type { Context, Middleware } from 'koa'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import type { OriginalRef } from '../../domain/identity/image-id.ts'
import { NotFoundLimitError, OriginalError, ServiceError } from '../../errors.ts'
import type { Viewer } from '../../service/load/admission.ts'
import { type NotFoundBudget, STORE_REQUESTS } from '../../service/load/not-found-budget.ts'
import type { Ask } from '../../service/load/not-found-tokens.ts'
import type { KnownOriginals } from '../../service/originals/known.ts'
import { type ClientOf, idOf, isTrusted, type RequestState, type ViewerOf } from './request-state.ts'

/**
 * Runs the work of a request for an original. Before the store is asked, the request takes the tokens that a missing original costs; a
 * 404 spends them. While there are none, originals that this node knows are still served, and other requests wait a little. Requests
 * from this machine and with a token are exempt.
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
  readonly known: KnownOriginals
  readonly clientOf: ClientOf
  readonly viewerOf: ViewerOf
  readonly access: WriteAccess
  /** Called when a request of this client for an upload is rejected. @param client The address. @param network By `clientNetwork`. */
  readonly onRejected?: (client: string, network: string) => void
}

const THIS_MACHINE = new Set(['127.0.0.1', '::1'])

export function createNotFoundLimit(options: NotFoundLimitOptions): NotFoundLimit {
  const { budget, known, clientOf, viewerOf, access, onRejected } = options

  /** @returns undefined if the request is exempt. */
  async function ask(ctx: Context & { state: RequestState }, original: OriginalRef, client: string) {
    const cost = STORE_REQUESTS[original.kind]
    const taken = budget.take(client, cost)
    if (taken) return taken
    if (isTrusted(ctx, access) || (await known.isHere(original))) return undefined
    try {
      return await budget.wait(client, cost, ctx.state.signal)
    } catch (error) {
      const isRejected = error instanceof NotFoundLimitError && original.kind === 'image'
      if (isRejected) onRejected?.(clientOf(ctx.req), client)
      throw error
    }
  }

  return async (ctx, original, work) => {
    const viewer = viewerOf(ctx.req)
    if (THIS_MACHINE.has(clientOf(ctx.req)) || known.isInMemory(original)) return await work(viewer)
    const asked = await ask(ctx, original, viewer.client)
    if (asked === undefined) return await work(viewer)
    try {
      await work({ ...viewer, found: asked.found })
      asked.end()
    } catch (error) {
      if (isTrusted(ctx, access)) asked.end()
      else settle(asked, error)
      throw error
    }
  }
}

function settle(asked: Ask, error: unknown): void {
  if (error instanceof OriginalError && error.code === 'original_not_found') asked.missing()
  else if (error instanceof ServiceError) asked.end()
  else asked.leave()
}

/** The same for the routes below `/images/<id>`. */
export function notFoundLimited(limit: NotFoundLimit): Middleware<RequestState> {
  return async (ctx, next) => {
    await limit(ctx, { kind: 'image', id: idOf(ctx) }, async ({ found }) => {
      await next()
      found?.()
    })
  }
}
