import type { Scope } from '../processes/scope.ts'
import { type RemoteHostServer, startRemoteHost } from './remote-host.ts'
import { temporaryFolder } from './site.ts'
import { startStubDns } from './stub-dns.ts'

/** What the host answers at a path. */
export interface Page {
  readonly body: Buffer
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
}

export interface RemoteSite {
  /** Settings of nodes that may ask the host. */
  readonly env: Readonly<Record<string, string>>
  readonly host: RemoteHostServer
  /** The host under its name. */
  readonly origin: string
  /** By path with query. */
  readonly pages: Map<string, Page>
}

/** A host of images that is found under a name, by a DNS server of our own. */
export async function startRemoteSite(t: Scope): Promise<RemoteSite> {
  const pages = new Map<string, Page>()
  const host = await startRemoteHost(t, (request, response) => {
    const { body, status, headers } = pages.get(request.url ?? '') ?? { body: Buffer.from('nothing'), status: 404 }
    response.writeHead(status ?? 200, {
      'Content-Type': 'image/jpeg',
      'Set-Cookie': 'a=b',
      'X-Secret': 'c',
      ...headers,
    })
    response.end(body)
  })
  const dns = await startStubDns(t, ({ name, type }) =>
    name === 'images.test' && type === 'A' ? ['127.0.0.1'] : 'absent',
  )
  const env = {
    STORE: `file:${await temporaryFolder(t)}`,
    REMOTE_HOSTS: `images.test:${host.port}`,
    REMOTE_ALLOW_ADDRESSES: '127.0.0.1',
    REMOTE_DNS: dns.server,
  }
  return { env, host, origin: `http://images.test:${host.port}`, pages }
}
