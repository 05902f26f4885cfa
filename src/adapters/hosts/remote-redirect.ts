import { assertAllowedHost, parseRemoteUrl, type RemoteHost } from '../../domain/network/remote-hosts.ts'
import { RequestError } from '../../errors.ts'
import { remoteFailed } from './remote-failure.ts'
import type { RemoteHeaders } from './remote-freshness.ts'

const STATUSES = [301, 302, 303, 307, 308]

export function isRedirect(status: number): boolean {
  return STATUSES.includes(status)
}

/**
 * Where a redirection leads to.
 *
 * @throws RemoteError `remote_failed` if it is broken, or leads from https to http; RequestError `remote_not_allowed`
 */
export function redirectTarget(url: string, headers: RemoteHeaders, hosts: readonly RemoteHost[]): string {
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
    // It is not the caller's mistake, as it would be with the URL that was asked for.
    if (error instanceof RequestError) throw remoteFailed('redirected to an invalid image URL', error)
    throw error
  }
}
