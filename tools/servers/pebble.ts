import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Agent, fetch } from 'undici'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import type { Scope } from '../processes/scope.ts'
import { makeCertificate } from './certificate.ts'
import { ensurePebble } from './install-servers.ts'
import { stopAfter } from './site.ts'

export interface Pebble {
  /** URL of the ACME directory. */
  readonly directory: string
  /** PEM file of the certificate of the ACME server itself, for its clients. */
  readonly serverCertificate: string
  /** PEM of the root that signs what it issues; new for each start. */
  readonly root: string
}

/** An ACME certificate authority on loopback, until the test ends. @param httpPort Where it asks for challenges, in place of port 80. */
export async function startPebble(t: Scope, httpPort: number): Promise<Pebble> {
  const folder = await createServerFolder('pebble')
  const { cert, key } = await makeCertificate({ names: ['IP:127.0.0.1'] })
  const [certificate, privateKey, config] = ['cert.pem', 'key.pem', 'config.json'].map((name) => join(folder, name))
  if (certificate === undefined || privateKey === undefined || config === undefined) throw new Error('Three names')
  await writeFile(certificate, cert)
  await writeFile(privateKey, key)
  const [listenAddress, managementListenAddress] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
  const pebble = {
    listenAddress,
    managementListenAddress,
    certificate,
    privateKey,
    httpPort,
    tlsPort: await freePort(),
    ocspResponderURL: '',
    externalAccountBindingRequired: false,
  }
  const profiles = { default: { description: 'As Let’s Encrypt', validityPeriod: 90 * 86_400 } }
  await writeFile(config, JSON.stringify({ pebble: { ...pebble, profiles } }))
  const dispatcher = new Agent({ connect: { ca: cert } })
  t.after(() => dispatcher.close())
  const get = (url: string) => fetch(url, { dispatcher })
  const directory = `https://${listenAddress}/dir`
  const server = await startServer({
    name: 'pebble',
    command: await ensurePebble(),
    args: ['-config', config],
    folder,
    // Without pauses before it validates.
    env: { PEBBLE_VA_NOSLEEP: '1' },
    isReady: async () => (await get(directory)).ok,
    readyTimeoutMs: 30_000,
    endsBy: 'KILL',
  })
  stopAfter(t, server.stop)
  const root = await (await get(`https://${managementListenAddress}/roots/0`)).text()
  return { directory, serverCertificate: certificate, root }
}
