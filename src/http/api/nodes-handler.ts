import type { Middleware } from 'koa'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import { type ListedNode, reportNodes } from '../../domain/stored/node-report.ts'
import { API_HEADERS } from '../answer/error-response.ts'
import { assertMay, type RequestState } from '../request/request-state.ts'

export interface NodesHandlerOptions {
  readonly members: {
    /** @throws UnavailableError */
    read(signal: AbortSignal): Promise<readonly ListedNode[]>
    /** Of this node, for operators. */
    warnings(): readonly string[]
  }
  readonly access: WriteAccess
}

/** `GET /nodes`: the registered nodes of the store, and warnings for operators. */
export function nodesHandler({ members, access }: NodesHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    assertMay('nodes', ctx, access)
    const report = reportNodes(await members.read(ctx.state.signal), members.warnings())
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'private, no-store' })
    ctx.status = 200
    ctx.type = 'application/json'
    ctx.body = JSON.stringify(report)
  }
}
