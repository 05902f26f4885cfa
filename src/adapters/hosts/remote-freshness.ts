import CachePolicy from 'http-cache-semantics'
import type { RemoteFreshness } from '../../service/ports/remote.ts'

/** By lower-case name; a list for a header that came several times. */
export type RemoteHeaders = Readonly<Record<string, string | string[] | undefined>>

type Directives = ReadonlyMap<string, string | undefined>

const MAX_SECONDS = 365 * 86_400

/** Of an answer that limits nothing. */
export const UNLIMITED = {
  storable: true,
  freshSeconds: MAX_SECONDS,
  staleWhileRevalidateSeconds: MAX_SECONDS,
  staleIfError: true,
} as const satisfies RemoteFreshness

/**
 * What a shared cache may do with an answer (RFC 9111, RFC 5861), for a year at most. We always ask with the same headers,
 * so a `Vary` that names some means nothing here; `*` means that each answer is for one time.
 *
 * @param headers Of a 200, or of a 304, which has those of the 200 that it stands for (RFC 9110, 15.4.5).
 * @param defaultFreshSeconds For answers that don't say how long. There is no guess from `Last-Modified`.
 */
export function remoteFreshness(headers: RemoteHeaders, defaultFreshSeconds: number): RemoteFreshness {
  const directives = readDirectives(headers)
  const says = (...names: readonly string[]): boolean => names.some((name) => directives.has(name))
  const seconds = (name: string): number => clamp(Number.parseInt(directives.get(name) ?? '0', 10))
  const policy = createPolicy(headers, directives, defaultFreshSeconds)
  const storable = policy.storable()
  // A cookie makes no answer personal: we send none, and pass none on.
  const isForOne = joined(headers['vary']).includes('*')
  const mayBeStale = storable && !isForOne && !says('no-cache', 'must-revalidate', 'proxy-revalidate')
  return {
    storable,
    freshSeconds: isForOne ? 0 : clamp(policy.maxAge() - policy.age()),
    staleWhileRevalidateSeconds: mayBeStale ? seconds('stale-while-revalidate') : 0,
    // `s-maxage` forbids it (RFC 9111, 4.2.4), unless the host says otherwise in the same breath.
    staleIfError: mayBeStale && (says('stale-if-error') ? seconds('stale-if-error') > 0 : !says('s-maxage')),
  }
}

/** The same of a redirection. A permanent one that says nothing holds as long as what it leads to. */
export function redirectFreshness(
  status: number,
  headers: RemoteHeaders,
  defaultFreshSeconds: number,
): RemoteFreshness {
  const isPermanent = status === 301 || status === 308
  const isSilent = headers['expires'] === undefined && readDirectives(headers).size === 0
  return isPermanent && isSilent ? UNLIMITED : remoteFreshness(headers, defaultFreshSeconds)
}

/** Of an answer that was come to by another one: the stricter of each. */
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
      // The library takes names in lower case only, and `proxy-revalidate` for "never fresh".
      'cache-control': [...cacheControl, ...(isDated ? [] : [`max-age=${defaultFreshSeconds}`])].join(', '),
      // Several say nothing that could be relied on.
      expires: expires === undefined ? undefined : (single(expires) ?? '0'),
      date: single(headers['date']),
      // An age counts against what the host said, not against what we suppose; a negative one would prolong it.
      age: isDated && age !== undefined && /^\d+$/.test(age) ? age : undefined,
    },
  }
  return new CachePolicy({ method: 'GET', url: '/', headers: {} }, response, { shared: true, cacheHeuristic: 0 })
}

/** `Cache-Control`, and the `Pragma` that stands for it where it is absent. The first of two that contradict counts. */
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
  // What a comma or an equals sign would break is a list of headers, whose names say nothing to us.
  return value === undefined || !/^\w+$/.test(value) ? `${name}=0` : `${name}=${value}`
}

function joined(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(', ') : (value ?? '')
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? undefined : value
}

/** Whole seconds. */
function clamp(seconds: number): number {
  return Number.isNaN(seconds) ? 0 : Math.round(Math.min(MAX_SECONDS, Math.max(0, seconds)))
}
