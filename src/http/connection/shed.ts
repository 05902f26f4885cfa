import type { IncomingMessage, ServerResponse } from 'node:http'
import { clientNetwork } from '../../domain/network/ip-address.ts'
import type { UnavailableError } from '../../errors.ts'
import { errorAnswer } from '../answer/error-response.ts'
import { hasBody } from '../request/request-body.ts'
import type { ClientOf } from '../request/request-state.ts'
import { type AccessReport, requestIdOf } from './access-log.ts'
import { type Client, createOverloadFlags, type FlagFolder } from './overload-flags.ts'

export interface ShedOptions {
  /** Why no picture can be made now for this client; without one: for a client that has nothing here yet. */
  readonly refusal: (network?: string) => UnavailableError | undefined
  /** Counts a request among this client's that wait for a renderer. @returns ends that. */
  readonly takeSeat: (network: string | undefined) => () => void
  /** Whether there can be pictures that are in memory only. */
  readonly diskFails: () => boolean
  readonly report: AccessReport
  readonly clientOf: ClientOf
  /** By them nginx refuses by itself most of what would be refused here. */
  readonly flags: FlagFolder
}

/** Takes a request before the app does, and answers it or lets it go on to the app, now or a little later. */
export type Shed = (request: IncomingMessage, response: ServerResponse, goOn: () => void) => void

/**
 * Load shedding. Under ten times the load that a node can bear, nine requests of ten are refused, and what that costs the
 * renderers lack. So who asks for a picture that nginx, in front of this node, has not found on the disk is refused before
 * anything else is done while there is no time to make one, unless it is being made. And when many are, nginx is told to do that.
 */
export function createShed({ refusal, takeSeat, diskFails, report, clientOf, flags }: ShedOptions): Shed {
  // A request costs the node about 2 ms of CPU before it waits for a renderer. When a thousand came at once, the refusals of
  // others waited for up to a second behind them.
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
    report({ ...sender, method, path, status, bytes: body.length, seconds, tier: undefined, error })
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
    return turnstile(() => {
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
  /** When the node began with it, by `performance.now()`. */
  readonly since: number
}

/** nginx says so where it has looked, and only of a view in its canonical spelling. */
function isOfAbsentPicture(request: IncomingMessage): boolean {
  const { method, headers } = request
  const isRead = method === 'GET' || method === 'HEAD'
  return isRead && headers['x-not-on-disk'] === '1' && headers['x-render-again'] === undefined && !hasBody(request)
}

/** Lets one task begin in each turn of the event loop; the others wait in order of arrival. */
export type Turnstile = (task: () => void) => void

export function createTurnstile(): Turnstile {
  const waiting: (() => void)[] = []
  let isTaken = false

  function nextTurn(): void {
    isTaken = false
    const task = waiting.shift()
    if (task) begin(task)
  }

  function begin(task: () => void): void {
    isTaken = true
    setImmediate(nextTurn)
    task()
  }

  return (task) => {
    if (isTaken) waiting.push(task)
    else begin(task)
  }
}
