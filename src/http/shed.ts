import type { IncomingMessage, ServerResponse } from 'node:http'
import type { UnavailableError } from '../errors.ts'
import { type AccessReport, requestIdOf } from './access-log.ts'
import type { ClientOf } from './client-of.ts'
import { errorAnswer } from './error-response.ts'
import { hasBody } from './unread-body.ts'

export interface ShedOptions {
  /** Why no picture can be made now, if so. */
  readonly refusal: () => UnavailableError | undefined
  /** Whether there can be pictures that are in memory only. */
  readonly diskFails: () => boolean
  readonly report: AccessReport
  readonly clientOf: ClientOf
  /** While it is raised, nginx refuses by itself most of what would be refused here. */
  readonly flag: Flag
}

export interface Flag {
  raise(): void
  lower(): void
}

/**
 * So many refusals in a row, and the flag is raised: more come than a few for each that is let in. Fewer are better refused
 * here, since nginx does not know what is being made.
 */
const REFUSALS_IN_A_ROW = 5
/** So often one looks whether it can be lowered, ms: what waits by then is work for ten times as long. */
const LOOK_MS = 10

/** Takes a request before the app does. @returns whether it has answered. */
export type Shed = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * Load shedding. Under ten times the load that a node can bear, nine requests of ten are refused, and what that costs the
 * renderers lack. So who asks for a picture that nginx, in front of this node, has not found on the disk is refused before
 * anything else is done while there is no time to make one, unless it is being made. And when many are, nginx is told to do that.
 */
export function createShed({ refusal, diskFails, report, clientOf, flag }: ShedOptions): Shed {
  const underWay = new Map<string, number>()
  let refusals = 0

  function follow(url: string, response: ServerResponse): void {
    underWay.set(url, (underWay.get(url) ?? 0) + 1)
    response.once('close', () => {
      const others = (underWay.get(url) ?? 0) - 1
      if (others > 0) underWay.set(url, others)
      else underWay.delete(url)
    })
  }

  function countRefusal(): void {
    refusals += 1
    if (refusals !== REFUSALS_IN_A_ROW) return
    flag.raise()
    const timer = setInterval(() => {
      if (refusal() !== undefined && !diskFails()) return
      clearInterval(timer)
      refusals = 0
      flag.lower()
    }, LOOK_MS)
    timer.unref()
  }

  return (request, response) => {
    const began = performance.now()
    const { url = '', method = '' } = request
    if (!isOfAbsentPicture(request) || diskFails()) return false
    const isUnderWay = underWay.has(url)
    const error = isUnderWay ? undefined : refusal()
    if (error === undefined) {
      if (!isUnderWay && refusals < REFUSALS_IN_A_ROW) refusals = 0
      follow(url, response)
      return false
    }
    countRefusal()
    const { status, headers, body } = errorAnswer(error)
    response.writeHead(status, headers).end(body)
    const [path = ''] = url.split('?', 1)
    const seconds = (performance.now() - began) / 1000
    const sender = { client: clientOf(request), requestId: requestIdOf(request) }
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
