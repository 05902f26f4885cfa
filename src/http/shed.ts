import type { IncomingMessage, ServerResponse } from 'node:http'
import { clientNetwork } from '../domain/client-address.ts'
import type { UnavailableError } from '../errors.ts'
import { type AccessReport, requestIdOf } from './access-log.ts'
import type { ClientOf } from './client-of.ts'
import { errorAnswer } from './error-response.ts'
import { createOverloadFlags, type FlagFolder } from './overload-flags.ts'
import { hasBody } from './unread-body.ts'

export interface ShedOptions {
  /** Why no picture can be made now for this client; without one: for a client that has nothing here yet. */
  readonly refusal: (network?: string) => UnavailableError | undefined
  /** Whether there can be pictures that are in memory only. */
  readonly diskFails: () => boolean
  readonly report: AccessReport
  readonly clientOf: ClientOf
  /** By them nginx refuses by itself most of what would be refused here. */
  readonly flags: FlagFolder
}

/** Takes a request before the app does. @returns whether it has answered. */
export type Shed = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * Load shedding. Under ten times the load that a node can bear, nine requests of ten are refused, and what that costs the
 * renderers lack. So who asks for a picture that nginx, in front of this node, has not found on the disk is refused before
 * anything else is done while there is no time to make one, unless it is being made. And when many are, nginx is told to do that.
 */
export function createShed({ refusal, diskFails, report, clientOf, flags }: ShedOptions): Shed {
  const underWay = new Map<string, number>()
  const overload = createOverloadFlags({ refusal, diskFails, flags })

  function follow(url: string, response: ServerResponse): void {
    underWay.set(url, (underWay.get(url) ?? 0) + 1)
    response.once('close', () => {
      const others = (underWay.get(url) ?? 0) - 1
      if (others > 0) underWay.set(url, others)
      else underWay.delete(url)
    })
  }

  return (request, response) => {
    const began = performance.now()
    const { url = '', method = '' } = request
    if (!isOfAbsentPicture(request) || diskFails()) return false
    if (underWay.has(url)) {
      follow(url, response)
      return false
    }
    const address = clientOf(request)
    const client = { address, network: clientNetwork(address) }
    const error = refusal(client.network)
    if (error === undefined) {
      overload.admitted(client)
      follow(url, response)
      return false
    }
    overload.refused(client)
    const { status, headers, body } = errorAnswer(error)
    response.writeHead(status, headers).end(body)
    const [path = ''] = url.split('?', 1)
    const seconds = (performance.now() - began) / 1000
    const sender = { client: address, requestId: requestIdOf(request) }
    report({ ...sender, method, path, status, bytes: body.length, seconds, tier: undefined, error })
    return true
  }
}

/** nginx says so where it has looked, and only of a view in its canonical spelling. */
function isOfAbsentPicture(request: IncomingMessage): boolean {
  const { method, headers } = request
  const isRead = method === 'GET' || method === 'HEAD'
  return isRead && headers['x-not-on-disk'] === '1' && headers['x-render-again'] === undefined && !hasBody(request)
}
