import CachePolicy from 'http-cache-semantics'
import type { RemoteFreshness } from '../../service/ports/remote.ts'

/** By lower-case name; a list for a repeated header. */
export type RemoteHeaders = Readonly<Record<string, string | string[] | undefined>>

type Directives = ReadonlyMap<string, string | undefined>

const MAX_SECONDS = 365 * 86_400

/** For a response without limits. */
export const UNLIMITED = {
  storable: true,
  freshSeconds: MAX_SECONDS,
  staleWhileRevalidateSeconds: MAX_SECONDS,
  staleIfError: true,
} as const satisfies RemoteFreshness

/**
 * The freshness of a response in a shared cache (RFC 9111, RFC 5861), for a year at most. Requests always have the same
 * headers, so only `Vary: *` counts: such a response is not reusable.
 *
 * @param headers Of a 200, or of a 304, which has those of the 200 (RFC 9110, 15.4.5).
 * @param defaultFreshSeconds For responses without an explicit lifetime. There is no heuristic based on
 *   `Last-Modified`.
 */
export function remoteFreshness(headers: RemoteHeaders, defaultFreshSeconds: number): RemoteFreshness {
  const directives = readDirectives(headers)
  const says = (...names: readonly string[]): boolean => names.some((name) => directives.has(name))
  const seconds = (name: string): number => clamp(Number.parseInt(directives.get(name) ?? '0', 10))
  const policy = createPolicy(headers, directives, defaultFreshSeconds)
  const storable = policy.storable()
  // Cookies do not matter: none are sent, and none are forwarded.
  const isForOne = joined(headers['vary']).includes('*')
  const mayBeStale = storable && !isForOne && !says('no-cache', 'must-revalidate', 'proxy-revalidate')
  return {
    storable,
    freshSeconds: isForOne ? 0 : clamp(policy.maxAge() - policy.age()),
    staleWhileRevalidateSeconds: mayBeStale ? seconds('stale-while-revalidate') : 0,
    // `s-maxage` forbids it (RFC 9111, 4.2.4), unless the same header allows it.
    staleIfError: mayBeStale && (says('stale-if-error') ? seconds('stale-if-error') > 0 : !says('s-maxage')),
  }
}

/** The same for a redirect. A permanent one without a lifetime lasts as long as its target. */
export function redirectFreshness(
  status: number,
  headers: RemoteHeaders,
  defaultFreshSeconds: number,
): RemoteFreshness {
  const isPermanent = status === 301 || status === 308
  const isSilent = headers['expires'] === undefined && readDirectives(headers).size === 0
  return isPermanent && isSilent ? UNLIMITED : remoteFreshness(headers, defaultFreshSeconds)
}

/** For a response after a redirect: the stricter value of each. */
export function stricterOf(one: RemoteFreshness, other: RemoteFreshness): RemoteFreshness {
  return {
    storable: one.storable && other.storable,
    freshSeconds: Math.min(one.freshSeconds, other.freshSeconds),
    staleWhileRevalidateSeconds: Math.min(one.staleWhileRevalidateSeconds, other.staleWhileRevalidateSeconds),
    staleIfError: one.staleIfError && other.staleIfError,
  }
}

function createPolicy(headers: RemoteHeaders, directives: Directives, defaultFreshSeconds: number): CachePolicy {
  const { expires } = headers
  const isDated = expires !== undefined || directives.has('max-age') || directives.has('s-maxage')
  const age = single(headers['age'])
  const cacheControl = [...directives].filter(([name]) => name !== 'proxy-revalidate').map(formatDirective)
  const response = {
    status: 200,
    headers: {
      // The library accepts lower-case names only, and treats `proxy-revalidate` as "never fresh".
      'cache-control': [...cacheControl, ...(isDated ? [] : [`max-age=${defaultFreshSeconds}`])].join(', '),
      // Repeated headers are not reliable.
      expires: expires === undefined ? undefined : (single(expires) ?? '0'),
      date: single(headers['date']),
      // An age reduces an explicit lifetime, not the default; a negative one would extend it.
      age: isDated && age !== undefined && /^\d+$/.test(age) ? age : undefined,
    },
  }
  return new CachePolicy({ method: 'GET', url: '/', headers: {} }, response, { shared: true, cacheHeuristic: 0 })
}

/** `Cache-Control`, or `Pragma` if it is absent. The first of contradicting directives counts. */
function readDirectives(headers: RemoteHeaders): Directives {
  if (headers['cache-control'] === undefined) {
    return new Map(/\bno-cache\b/i.test(joined(headers['pragma'])) ? [['no-cache', undefined]] : [])
  }
  const directives = new Map<string, string | undefined>()
  const found = joined(headers['cache-control']).matchAll(/([^\s,;="]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,"]*)))?/g)
  for (const [, name = '', quoted, plain] of found) {
    const key = name.toLowerCase()
    if (!directives.has(key)) directives.set(key, quoted ?? plain)
  }
  return directives
}

function formatDirective([name, value]: readonly [string, string | undefined]): string {
  // A comma or an equals sign occurs only in lists of header names, which do not matter.
  return value === undefined || !/^\w+$/.test(value) ? `${name}=0` : `${name}=${value}`
}

function joined(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(', ') : (value ?? '')
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? undefined : value
}

function clamp(seconds: number): number {
  return Number.isNaN(seconds) ? 0 : Math.round(Math.min(MAX_SECONDS, Math.max(0, seconds)))
}
