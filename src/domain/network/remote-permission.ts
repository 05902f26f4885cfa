import { RequestError } from '../../errors.ts'
import { invalidPath } from '../text/invalid-path.ts'
import { hostsAllowing, type RemoteHost } from './remote-hosts.ts'

/**
 * Lets the URL of a remote image pass, or not. A parameter too many is refused rather than left out: another URL may have
 * another picture.
 *
 * @param url As `parseRemoteUrl` returns it.
 * @throws RequestError `remote_not_allowed` for its host, `invalid_path` for its query.
 */
export function assertAllowedUrl(url: string, hosts: readonly RemoteHost[]): void {
  const allowing = assertAllowedHost(url, hosts)
  const names = parameterNames(url)
  if (allowing.some(({ parameters }) => parameters === undefined || names.every((name) => parameters.includes(name)))) {
    return
  }
  const allowed = [...new Set(allowing.flatMap(({ parameters = [] }) => parameters))]
  const extra = names.find((name) => !allowed.includes(name))
  const { host } = new URL(url)
  throw invalidPath(
    `URLs of remote images on ${host} may contain ${
      allowed.length === 0
        ? 'no query (REMOTE_HOSTS)'
        : `only the query parameters ${allowed.join(', ')} (REMOTE_HOSTS)`
    }${extra === undefined || extra === '' ? '' : `: remove "${extra}"`}`,
  )
}

/**
 * The same for the host alone, as for where a redirection leads: its query is the host's own.
 *
 * @returns the entries that allow it.
 * @throws RequestError `remote_not_allowed`
 */
export function assertAllowedHost(url: string, hosts: readonly RemoteHost[]): readonly RemoteHost[] {
  const allowing = hostsAllowing(url, hosts)
  if (allowing.length > 0) return allowing
  throw new RequestError('remote_not_allowed', `${new URL(url).origin} is not an allowed host (REMOTE_HOSTS)`)
}

/** As they stand in the URL: other encodings of a name, and empty ones, would be ever new URLs of the same image. */
function parameterNames(url: string): readonly string[] {
  const start = url.indexOf('?')
  if (start < 0) return []
  return url
    .slice(start + 1)
    .split('&')
    .map((pair) => pair.replace(/=.*/s, ''))
}
