import type { IncomingMessage, ServerResponse } from 'node:http'
import { clientNetwork, parseIpAddress } from '../../domain/network/ip-address.ts'
import { EVERYBODY } from '../../domain/stored/cache-layout.ts'
import type { UnavailableError } from '../../errors.ts'
import { errorAnswer } from '../answer/error-response.ts'
import type { ClientOf } from '../request/request-state.ts'
import { hasBody } from '../request/request-state.ts'
import { type AccessReport, requestIdOf } from './access-log.ts'
import { createTurnstile } from './turnstile.ts'

export interface ShedOptions {
  /** Why no render is possible now for this client; without one: for a new client. */
  readonly refusal: (network?: string) => UnavailableError | undefined
  /** Counts a request of this client as waiting for a renderer. @returns Ends that. */
  readonly takeSeat: (network: string | undefined) => () => void
  /** Whether this client has viewed new pictures lately. Its requests and those of others take turns. */
  readonly isKnown: (network: string) => boolean
  /** Whether pictures may be in memory only. */
  readonly diskFails: () => boolean
  readonly report: AccessReport
  readonly clientOf: ClientOf
  /** With these flags nginx itself rejects most requests that would be rejected here. */
  readonly flags: FlagFolder
}

/** Receives a request before the app, and answers it or passes it on to the app, possibly a little later. */
export type Shed = (request: IncomingMessage, response: ServerResponse, goOn: () => void) => void

/**
 * Load shedding. Under ten times the capacity of a node, nine of ten requests are rejected, at the cost of the
 * renderers. So a request for a picture that nginx has not found on the disk is rejected before any other work while no
 * render is possible, unless it is already being rendered. After many rejections nginx is told to reject.
 */
export function createShed({ refusal, takeSeat, isKnown, diskFails, report, clientOf, flags }: ShedOptions): Shed {
  // A request costs about 2 ms of CPU before it waits for a renderer. After a burst of a thousand, rejections waited up
  // to a second behind them.
  const turnstile = createTurnstile()
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

  function refuse({ request, response, client, since }: Asked, error: UnavailableError): void {
    const { url = '', method = '' } = request
    overload.refused(client)
    const { status, headers, body } = errorAnswer(error)
    response.writeHead(status, headers).end(body)
    const [path = ''] = url.split('?', 1)
    const seconds = (performance.now() - since) / 1000
    const sender = { client: client.address, requestId: requestIdOf(request) }
    report({ ...sender, method, path, status, bytes: body.length, seconds, tier: undefined, error, isShed: true })
  }

  return (request, response, goOn) => {
    const since = performance.now()
    const { url = '' } = request
    if (!isOfAbsentPicture(request) || diskFails()) return goOn()
    if (underWay.has(url)) {
      follow(url, response)
      return goOn()
    }
    const address = clientOf(request)
    const network = clientNetwork(address)
    const asked = { request, response, client: { address, network }, since }
    const error = refusal(network)
    if (error !== undefined) return refuse(asked, error)
    const leaveSeat = takeSeat(network)
    return turnstile({ group: isKnown(network) ? 'known' : 'others', client: network }, () => {
      leaveSeat()
      if (response.destroyed) return
      const late = underWay.has(url) ? undefined : refusal(network)
      if (late !== undefined) return refuse(asked, late)
      overload.admitted(asked.client)
      follow(url, response)
      return goOn()
    })
  }
}

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly client: Client
  /** Start of its processing, by `performance.now()`. */
  readonly since: number
}

/** nginx sets the header after a look-up, and only for a canonical URL of a picture. */
function isOfAbsentPicture(request: IncomingMessage): boolean {
  const { method, headers } = request
  const isRead = method === 'GET' || method === 'HEAD'
  return isRead && headers['x-not-on-disk'] === '1' && headers['x-render-again'] === undefined && !hasBody(request)
}

/** Files whose existence tells nginx which clients to reject. */
export interface FlagFolder {
  raise(name: string): void
  lower(name: string): void
}

export interface Client {
  /** As seen by nginx. */
  readonly address: string
  /** By `clientNetwork`: limits count this. */
  readonly network: string
}

/** Lets nginx reject clients that are rejected repeatedly, as that costs far less there. */
export interface OverloadFlags {
  refused(client: Client): void
  admitted(client: Client): void
}

export interface OverloadFlagsOptions {
  /** Why no render is possible now for this client; without one: for a new client. */
  readonly refusal: (network?: string) => UnavailableError | undefined
  readonly diskFails: () => boolean
  readonly flags: FlagFolder
}

interface Tally {
  /** Absent: for all clients. */
  readonly network: string | undefined
  inARow: number
}

/**
 * Consecutive rejections that raise the flag. Fewer are better rejected by the node, since nginx does not know the
 * renders in progress.
 */
const REFUSALS_IN_A_ROW = 5
/** Interval of checks whether a flag can be lowered, ms: the queue then still has work for ten times as long. */
const LOOK_MS = 10
/** Maximum number of counted clients. The node rejects others itself. */
const MAX_TALLIES = 256

/**
 * If a new client would also be rejected, the flag is for all clients; otherwise for the one client that has used its
 * share.
 */
function createOverloadFlags({ refusal, diskFails, flags }: OverloadFlagsOptions): OverloadFlags {
  const tallies = new Map<string, Tally>()
  let timer: NodeJS.Timeout | undefined

  const isRaised = ({ inARow }: Tally): boolean => inARow >= REFUSALS_IN_A_ROW

  function tallyOf(name: string, network: string | undefined): Tally | undefined {
    const known = tallies.get(name)
    if (known) return known
    if (tallies.size >= MAX_TALLIES) {
      for (const [other, tally] of tallies) if (!isRaised(tally)) tallies.delete(other)
      if (tallies.size >= MAX_TALLIES) return undefined
    }
    const tally = { network, inARow: 0 }
    tallies.set(name, tally)
    return tally
  }

  function look(): void {
    for (const [name, tally] of tallies) {
      if (!isRaised(tally) || (refusal(tally.network) !== undefined && !diskFails())) continue
      tallies.delete(name)
      flags.lower(name)
    }
    if ([...tallies.values()].some(isRaised)) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    refused({ address, network }) {
      const isForAll = refusal() !== undefined
      // The address becomes a file name.
      if (!isForAll && parseIpAddress(address) === undefined) return
      const name = isForAll ? EVERYBODY : address
      const tally = tallyOf(name, isForAll ? undefined : network)
      if (tally === undefined) return
      tally.inARow += 1
      if (tally.inARow !== REFUSALS_IN_A_ROW) return
      flags.raise(name)
      timer ??= setInterval(look, LOOK_MS).unref()
    },
    admitted({ address }) {
      for (const name of [EVERYBODY, address]) {
        const tally = tallies.get(name)
        if (tally && !isRaised(tally)) tallies.delete(name)
      }
    },
  }
}
