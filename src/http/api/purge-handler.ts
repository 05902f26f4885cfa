import type { Middleware } from 'koa'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import { type PurgeRequest, parsePurgeRequest } from '../../domain/info/purge-request.ts'
import type { PurgeService } from '../../service/library/purge-service.ts'
import { API_HEADERS } from '../answer/error-response.ts'
import { assertMay, type RequestState } from '../request/request-state.ts'
import { readSmallBody } from '../request/small-body.ts'

export interface PurgeHandlerOptions {
  readonly purges: Pick<PurgeService, 'accept'>
  readonly access: WriteAccess
}

const BODY = { maxBytes: 2 ** 20, onBreak: 'invalid_purge' } as const

/** `POST /purge`: `202` when the purge is durable and has begun; the body has the number of accepted entries by list. */
export function purgeHandler({ purges, access }: PurgeHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    assertMay('purge', ctx, access)
    const body = await readSmallBody(ctx.req, BODY, ctx.state.signal)
    const request = parsePurgeRequest(body)
    await purges.accept(request, body, ctx.state.signal)
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'no-store' })
    ctx.status = 202
    ctx.body = { accepted: countsOf(request) }
  }
}

/** Entries of each list that has some. */
function countsOf(request: PurgeRequest): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const [name, list] of Object.entries<readonly unknown[]>({ ...request })) {
    if (list.length > 0) counts[name] = list.length
  }
  return counts
}
