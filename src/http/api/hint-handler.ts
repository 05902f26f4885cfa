import type { Middleware } from 'koa'
import { type AddressBlock, isWithinNetworks } from '../../domain/network/ip-address.ts'
import { RequestError } from '../../errors.ts'
import { API_HEADERS } from '../answer/error-response.ts'

export interface HintHandlerOptions {
  readonly trustedNetworks: readonly AddressBlock[]
  /** Looks for invalidations soon. It limits the rate. */
  readonly onHint: () => void
}

/** `POST /peers/hint`: another node has written an invalidation. The request carries nothing else. */
export function hintHandler({ trustedNetworks, onHint }: HintHandlerOptions): Middleware {
  return (ctx) => {
    const forwardedFor = String(ctx.req.headers['x-forwarded-for'] ?? '')
    if (!isWithinNetworks(ctx.req.socket.remoteAddress ?? '', forwardedFor, trustedNetworks)) {
      throw new RequestError('peer_not_allowed', 'Hints are accepted from the TRUSTED_NETWORKS of this node only')
    }
    onHint()
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'no-store' })
    ctx.status = 204
  }
}
