/** A service of a CDN whose cache is purged by tags. */
export type CdnTarget = FastlyTarget | CloudflareTarget

interface FastlyTarget {
  readonly kind: 'fastly'
  /** Base of the API. */
  readonly url: string
  readonly service: string
  readonly token: string
}

interface CloudflareTarget {
  readonly kind: 'cloudflare'
  /** Base of the API. */
  readonly url: string
  readonly zone: string
  readonly token: string
}

/** A call of the API, by POST. */
export interface CdnCall {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json', 'user-agent': 'Darkroom' }
/** @see https://www.fastly.com/documentation/reference/api/purging/ */
const FASTLY_KEYS = 256
/** Of all plans. @see https://developers.cloudflare.com/cache/how-to/purge-cache/ */
const CLOUDFLARE_TAGS = 100

/** The calls that purge these tags; each may be repeated. */
export function cdnCalls(target: CdnTarget, tags: readonly string[]): readonly CdnCall[] {
  if (target.kind === 'fastly') {
    const url = `${target.url}/service/${encodeURIComponent(target.service)}/purge`
    const headers = { ...HEADERS, 'fastly-key': target.token }
    return inGroups(tags, FASTLY_KEYS).map((some) => ({ url, headers, body: JSON.stringify({ surrogate_keys: some }) }))
  }
  const url = `${target.url}/client/v4/zones/${encodeURIComponent(target.zone)}/purge_cache`
  const headers = { ...HEADERS, authorization: `Bearer ${target.token}` }
  return inGroups(tags, CLOUDFLARE_TAGS).map((some) => ({ url, headers, body: JSON.stringify({ tags: some }) }))
}

function inGroups<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size))
}
