import type { IncomingMessage, ServerResponse } from 'node:http'
import { clientNetwork, parseIpAddress } from '../../domain/network/ip-address.ts'
import { EVERYBODY } from '../../domain/stored/cache-layout.ts'
import type { UnavailableError } from '../../errors.ts'
import { errorAnswer } from '../answer/error-response.ts'
import { hasBody } from '../request/request-body.ts'
import type { ClientOf } from '../request/request-state.ts'
import { type AccessReport, requestIdOf } from './access-log.ts'

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

/** Files that tell nginx by being there whom to refuse. */
export interface FlagFolder {
  raise(name: string): void
  lower(name: string): void
}

export interface Client {
  /** As nginx has it. */
  readonly address: string
  /** By `clientNetwork`: limits count this. */
  readonly network: string
}

/** Lets nginx refuse whoever is refused again and again, since that costs far less there. */
export interface OverloadFlags {
  refused(client: Client): void
  admitted(client: Client): void
}

export interface OverloadFlagsOptions {
  /** Why no picture can be made now for this client; without one: for a client that has nothing here yet. */
  readonly refusal: (network?: string) => UnavailableError | undefined
  readonly diskFails: () => boolean
  readonly flags: FlagFolder
}

interface Tally {
  /** Absent: of everybody. */
  readonly network: string | undefined
  inARow: number
}

/**
 * So many refusals in a row, and the flag is raised: more come than a few for each that is let in. Fewer are better refused
 * here, since nginx does not know what is being made.
 */
const REFUSALS_IN_A_ROW = 5
/** How often the node looks whether a flag can be lowered, ms: what waits by then is work for ten times as long. */
const LOOK_MS = 10
/** Clients that are counted at once. Others are refused by the node. */
const MAX_TALLIES = 256

/**
 * Where a new client would be refused too, the flag is for everybody; else it is for the one client that has had its part, and
 * nobody else notices.
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
      // The name of a file.
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
