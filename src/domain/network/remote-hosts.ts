import { RequestError, SettingError } from '../../errors.ts'
import { invalidPath } from '../text/path-text.ts'
import { parseIpAddress } from './ip-address.ts'

/** An entry of the allow-list of remote hosts. */
export interface RemoteHost {
  /** Absent: http and https. */
  readonly protocol?: 'http:' | 'https:'
  /** As the WHATWG URL parser returns it, without a trailing dot. Absent: every host. */
  readonly hostname?: string
  /** Whether the entry means the subdomains of `hostname`, at any depth, instead of `hostname` itself. */
  readonly subdomains: boolean
  /** Absent: the default port of the protocol. */
  readonly port?: number
  /** Names of the allowed query parameters, as spelled in a URL. Absent: any. */
  readonly parameters?: readonly string[]
}

const MAX_URL_LENGTH = 2048
const ENTRY =
  /^(?:(?<scheme>[^:/]*):\/\/)?(?:(?<any>\*)|(?<below>\*\.)?(?<host>\[[\da-f:.]*\]|[^\s:/\\?#@[\]*%]+))(?::(?<port>\d{1,5}))?(?:\?(?<names>[^?]*))?$/i
const PARAMETER_NAME = /^[^\s,&=#?+;"'<>]+$/

/**
 * Reads one entry: `example.com`, `*.example.com` (its subdomains, not itself), `https://example.com`,
 * `example.com:8443`, `192.0.2.7`, `[2001:db8::7]`, `*` (every host). Without a scheme both are allowed, without a port
 * their default ports. Upper case and non-ASCII letters are normalized as by browsers. `example.com?v,id` limits the
 * query parameters, `example.com?` to none.
 *
 * @throws SettingError
 */
export function parseRemoteHost(text: string): RemoteHost {
  const { scheme, any, below, host = '', port, names } = ENTRY.exec(text)?.groups ?? {}
  const hostname = URL.canParse(`http://${host}/`) ? plainHostname(new URL(`http://${host}/`)) : undefined
  if (any === undefined && (host === '' || hostname === undefined)) {
    throw new SettingError(
      `"${text}" should be a host such as example.com, *.example.com, https://example.com, example.com:8443 or [2001:db8::7]`,
    )
  }
  const protocol = scheme === undefined ? undefined : readProtocol(scheme)
  if (scheme !== undefined && protocol === undefined) {
    throw new SettingError(`"${text}" should start with http:// or https://, or with the host`)
  }
  if (below !== undefined && hostname !== undefined && isAddress(hostname)) {
    throw new SettingError(`"${text}" should not start with "*.": an IP address has no subdomains`)
  }
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) {
    throw new SettingError(`"${text}" should have a port from 1 to 65535`)
  }
  return {
    ...(protocol !== undefined && { protocol }),
    ...(hostname !== undefined && { hostname }),
    subdomains: below !== undefined,
    ...(port !== undefined && { port: Number(port) }),
    ...(names !== undefined && { parameters: parseNames(names, text) }),
  }
}

/** Whether the entry is `*`, with any scheme, port and parameters. Its other parts may be invalid. */
export function isEveryHost(text: string): boolean {
  return ENTRY.exec(text)?.groups?.['any'] !== undefined
}

function parseNames(names: string, text: string): readonly string[] {
  if (names === '') return []
  const parameters = names.split(',')
  if (parameters.every((name) => PARAMETER_NAME.test(name))) return parameters
  throw new SettingError(
    `"${text}" should list query parameters, such as example.com?v,id, or end with "?" to allow none`,
  )
}

/**
 * Reads the URL of a remote image.
 *
 * @returns As in `RemoteRef`: normalized as by browsers.
 * @throws RequestError `invalid_path`
 */
export function parseRemoteUrl(text: string): string {
  if (text.length > MAX_URL_LENGTH) throw invalid(`should have at most ${MAX_URL_LENGTH} characters`)
  if (!URL.canParse(text)) throw invalid('should be an absolute URL such as https://example.com/cat.jpg')
  const url = new URL(text)
  if (readProtocol(url.protocol.slice(0, -1)) === undefined) throw invalid('should start with http:// or https://')
  if (url.username !== '' || url.password !== '') throw invalid('should not contain a user name or a password')
  const hostname = plainHostname(url)
  if (hostname === undefined) throw invalid('should have a valid DNS host name')
  url.hostname = hostname
  url.hash = ''
  if (url.href.length > MAX_URL_LENGTH) throw invalid(`should have at most ${MAX_URL_LENGTH} characters when encoded`)
  return url.href
}

/**
 * The entries of the list that allow the host of a URL.
 * @param url As `parseRemoteUrl` returns it.
 */
export function hostsAllowing(url: string, hosts: readonly RemoteHost[]): readonly RemoteHost[] {
  const { protocol, hostname, port } = new URL(url)
  return hosts.filter((host) => {
    if (host.protocol !== undefined && host.protocol !== protocol) return false
    const wantedPort = host.port ?? defaultPort(protocol)
    if (wantedPort !== (port === '' ? defaultPort(protocol) : Number(port))) return false
    if (host.hostname === undefined) return true
    return host.subdomains ? hostname.endsWith(`.${host.hostname}`) : hostname === host.hostname
  })
}

/** The name without a trailing dot; undefined if it is not a host name. */
function plainHostname({ hostname }: URL): string | undefined {
  const name = hostname.replace(/\.$/, '')
  if (isAddress(name)) return name
  const labels = name.split('.')
  return name.length <= 253 && labels.every(({ length }) => length >= 1 && length <= 63) ? name : undefined
}

function isAddress(hostname: string): boolean {
  return hostname.startsWith('[') || parseIpAddress(hostname) !== undefined
}

function readProtocol(scheme: string): 'http:' | 'https:' | undefined {
  const name = scheme.toLowerCase()
  if (name === 'http') return 'http:'
  return name === 'https' ? 'https:' : undefined
}

function defaultPort(protocol: string): number {
  return protocol === 'https:' ? 443 : 80
}

function invalid(what: string): RequestError {
  return new RequestError('invalid_path', `The URL of the remote image ${what}`)
}

/**
 * Checks the URL of a remote image. An additional parameter is an error and not ignored, as it may select another
 * picture.
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
 * The same for the host alone, for the target of a redirect: its query is chosen by the host.
 *
 * @returns the entries that allow it.
 * @throws RequestError `remote_not_allowed`
 */
export function assertAllowedHost(url: string, hosts: readonly RemoteHost[]): readonly RemoteHost[] {
  const allowing = hostsAllowing(url, hosts)
  if (allowing.length > 0) return allowing
  throw new RequestError('remote_not_allowed', `${new URL(url).origin} is not an allowed host (REMOTE_HOSTS)`)
}

/** As spelled in the URL: other encodings of a name, and empty names, would make new URLs of the same image. */
function parameterNames(url: string): readonly string[] {
  const start = url.indexOf('?')
  if (start < 0) return []
  return url
    .slice(start + 1)
    .split('&')
    .map((pair) => pair.replace(/=.*/s, ''))
}
