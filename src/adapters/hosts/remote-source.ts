import type { AddressBlock } from '../../domain/network/ip-address.ts'
import {
  assertAllowedHost,
  assertAllowedUrl,
  parseRemoteUrl,
  type RemoteHost,
} from '../../domain/network/remote-hosts.ts'
import { contentTypeOf, type InputFormat } from '../../domain/spec/image-format.ts'
import { RequestError } from '../../errors.ts'
import type { RemoteFreshness, RemoteSource, RemoteValidators } from '../../service/ports/remote.ts'
import { startDeadline } from '../calls/timed-body.ts'
import { createRemoteConnections } from './remote-connections.ts'
import { createRemoteExchange, dropAnswer, keepWithoutBody, openImage, type RemoteExchange } from './remote-exchange.ts'
import { type RemoteHeaders, redirectFreshness, remoteFreshness, stricterOf, UNLIMITED } from './remote-freshness.ts'
import { createRemoteOrigins, REMOTE_LIMITS, type RemoteLimits } from './remote-origins.ts'
import { createRemoteDns, createRemoteSocket, remoteFailed } from './remote-socket.ts'

export interface RemoteSourceSettings {
  /** Empty: nothing can be fetched. */
  readonly hosts: readonly RemoteHost[]
  /** Allowed addresses that are not public. */
  readonly allowedAddresses: readonly AddressBlock[]
  /** As returned by `parseDnsServer`. Empty: those of the system. */
  readonly dnsServers: readonly string[]
  /** Requested formats. The received format is not checked here. */
  readonly formats: readonly InputFormat[]
  readonly maxBytes: number
  /** For responses without an explicit lifetime. */
  readonly defaultFreshSeconds: number
  readonly limits?: Partial<RemoteLimits>
}

/** A response that is not a redirect. */
interface Arrival {
  readonly exchange: RemoteExchange
  /** The freshness that the redirects before it allow. */
  readonly freshness: RemoteFreshness
  /** Whether it is for the requested URL. */
  readonly isDirect: boolean
}

/**
 * Images on allowed hosts, by HTTP/1.1. All requests have the same headers, so nothing of a client's request is
 * forwarded.
 */
export function createRemoteSource(settings: RemoteSourceSettings): RemoteSource {
  const { hosts, allowedAddresses, dnsServers, defaultFreshSeconds } = settings
  const limits = { ...REMOTE_LIMITS, ...settings.limits }
  const dns = createRemoteDns({ servers: dnsServers, timeoutMs: limits.dnsTimeoutMs })
  const openSocket = createRemoteSocket({ dns, allowedAddresses, connectTimeoutMs: limits.connectTimeoutMs })
  const connections = createRemoteConnections(openSocket, { ...limits, maxBytes: settings.maxBytes })
  const origins = createRemoteOrigins(limits)
  const ask = createRemoteExchange({ connections, origins })
  const common = {
    accept: [...settings.formats.map(contentTypeOf), 'image/*;q=0.5'].join(', '),
    'accept-encoding': 'identity',
    'user-agent': 'Darkroom',
  }

  async function follow(url: string, known: RemoteValidators, signal: AbortSignal): Promise<Arrival> {
    let target = url
    let freshness: RemoteFreshness = UNLIMITED
    for (let redirects = 0; ; redirects += 1) {
      const isDirect = redirects === 0
      // A validator is valid only for its URL, and may match another image elsewhere.
      const exchange = await ask(target, { ...common, ...(isDirect && conditionalHeaders(known)) }, signal)
      if (!isRedirect(exchange.status)) return { exchange, freshness, isDirect }
      dropAnswer(exchange)
      if (redirects === limits.maxRedirects) throw remoteFailed(`redirected more than ${limits.maxRedirects} times`)
      target = redirectTarget(target, exchange.headers, hosts)
      freshness = stricterOf(freshness, redirectFreshness(exchange.status, exchange.headers, defaultFreshSeconds))
    }
  }

  return {
    async fetch(url, known, signal) {
      const target = parseRemoteUrl(url)
      assertAllowedUrl(target, hosts)
      const deadline = startDeadline(signal, limits.totalTimeoutMs, () =>
        remoteFailed('did not complete its response in time'),
      )
      try {
        const { exchange, freshness, isDirect } = await follow(target, known, deadline.signal)
        const { status, headers } = exchange
        const terms = {
          freshness: stricterOf(freshness, remoteFreshness(headers, defaultFreshSeconds)),
          validators: isDirect ? readValidators(headers) : {},
        }
        if (status === 304 && isDirect && Object.keys(conditionalHeaders(known)).length > 0) {
          keepWithoutBody(exchange)
          deadline.stop()
          return { kind: 'unchanged', ...terms, validators: { ...known, ...terms.validators } }
        }
        const { maxBytes } = settings
        const { stallTimeoutMs } = limits
        const body = openImage(exchange, { maxBytes, stallTimeoutMs, signal: deadline.signal, onClose: deadline.stop })
        return { kind: 'body', body, ...terms }
      } catch (error) {
        deadline.stop()
        deadline.signal.throwIfAborted()
        throw error
      }
    },
    calls: origins.calls,
    close: () => connections.close(),
  }
}

const STATUSES = [301, 302, 303, 307, 308]

function isRedirect(status: number): boolean {
  return STATUSES.includes(status)
}

/**
 * The target of a redirect.
 *
 * @throws RemoteError `remote_failed` if it is malformed, or leads from https to http; RequestError
 *   `remote_not_allowed`
 */
function redirectTarget(url: string, headers: RemoteHeaders, hosts: readonly RemoteHost[]): string {
  const { location } = headers
  if (typeof location !== 'string' || !URL.canParse(location, url))
    throw remoteFailed('sent a redirect without a Location header')
  const target = readTarget(new URL(location, url).href)
  if (url.startsWith('https:') && !target.startsWith('https:')) throw remoteFailed('redirected from https to http')
  assertAllowedHost(target, hosts)
  return target
}

function readTarget(text: string): string {
  try {
    return parseRemoteUrl(text)
  } catch (error) {
    // Unlike in the requested URL, it is not a mistake of the client.
    if (error instanceof RequestError) throw remoteFailed('redirected to an invalid image URL', error)
    throw error
  }
}

/** Only validators that can be sent back: not a malformed one, and not `*`, which would match any image. */
function readValidators({ etag, 'last-modified': lastModified }: RemoteHeaders): RemoteValidators {
  return {
    ...(isEntityTag(etag) && { etag }),
    ...(isDate(lastModified) && { lastModified }),
  }
}

function conditionalHeaders({ etag, lastModified }: RemoteValidators): Readonly<Record<string, string>> {
  return {
    ...(isEntityTag(etag) && { 'if-none-match': etag }),
    ...(isDate(lastModified) && { 'if-modified-since': lastModified }),
  }
}

function isEntityTag(value: string | string[] | undefined): value is string {
  return typeof value === 'string' && value.length <= 512 && /^(?:W\/)?"[\x21\x23-\x7e]*"$/.test(value)
}

function isDate(value: string | string[] | undefined): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9,: -]{1,64}$/.test(value) && !Number.isNaN(Date.parse(value))
}
