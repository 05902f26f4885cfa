import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from 'node:tls'
import sharp from 'sharp'
import { Agent, fetch as fetchWith } from 'undici'
import { docCommands } from '../../tools/docs/doc-commands.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import { runCommand } from '../../tools/processes/process.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { TOKEN } from '../../tools/requests/token.ts'
import { upload } from '../../tools/servers/darkroom.ts'
import { ensureCertbot } from '../../tools/servers/install-servers.ts'
import {
  type NginxServer,
  replaceSiteLines,
  startFront,
  startNodeNginx,
  writeSiteConfig,
} from '../../tools/servers/nginx.ts'
import { type Pebble, startPebble } from '../../tools/servers/pebble.ts'
import { newStore, startNodeFor, stopAfter, temporaryFolder } from '../../tools/servers/site.ts'
import { doctorReport } from '../support/doctor.ts'

const ROOT = join(import.meta.dirname, '../..')
/** Both certbot and the system's resolver know it. */
const HOST = 'localhost'
const PAGE = 'docs/tls.md'

/** Runs commands of docs/tls.md with the folders, the name and the authority of this test. */
function pageRunner(folder: string, nginx: NginxServer, pebble: Pebble) {
  const certbot = ['config', 'work', 'logs'].map((name) => `--${name}-dir ${folder}/letsencrypt/${name}`).join(' ')
  const replacements = {
    'certbot ': `certbot --server ${pebble.directory} --no-random-sleep-on-renew ${certbot} `,
    'systemctl reload nginx': `kill -HUP ${nginx.pid}`,
    'img.example': HOST,
    '/var/www/acme': `${folder}/acme`,
    '/opt/darkroom/': `${ROOT}/`,
    '/etc/nginx/': `${folder}/etc-nginx/`,
  }
  return async (commands: string) => {
    const text = Object.entries(replacements).reduce((all, [from, to]) => all.replaceAll(from, to), commands)
    await runCommand('sh', ['-ec', text], { REQUESTS_CA_BUNDLE: pebble.serverCertificate })
  }
}

async function blockOf(heading: string, beginning: string): Promise<string> {
  const block = (await docCommands(PAGE, heading)).find((each) => each.includes(beginning))
  assert.ok(block, `${PAGE}: ${heading}`)
  return block
}

/** Lines that TLS needs here, in a configuration that the commands of the page have edited. */
function tlsLines(folder: string, port: number) {
  const live = `${folder}/letsencrypt/config/live/darkroom`
  return {
    'include /etc/nginx/darkroom-redirect.conf;': `include ${folder}/etc-nginx/darkroom-redirect.conf;`,
    'listen 443 ssl http2 default_server;': `listen 127.0.0.1:${port} ssl http2 default_server;`,
    'ssl_certificate /etc/letsencrypt/live/darkroom/fullchain.pem;': `ssl_certificate ${live}/fullchain.pem;`,
    'ssl_certificate_key /etc/letsencrypt/live/darkroom/privkey.pem;': `ssl_certificate_key ${live}/privkey.pem;`,
  }
}

async function serialNumber(port: number, ca: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, servername: HOST, ca })
  await once(socket, 'secureConnect')
  const { serialNumber: serial } = socket.getPeerCertificate()
  socket.destroy()
  return serial
}

/** Resolves with the new serial number as soon as nginx presents it. */
async function untilReplaced(port: number, ca: string, old: string): Promise<string> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const serial = await serialNumber(port, ca)
    if (serial !== old) return serial
    assert.ok(performance.now() < deadline, 'nginx presents the old certificate')
  }
}

/** A picture of some megabytes: more than the buffers of a connection hold. @returns its path. */
async function largePicture(origin: string): Promise<string> {
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const
  const image = sharp({ create: { width: 2000, height: 1500, channels: 3, background: '#000', noise } })
  const response = await upload(origin, await image.jpeg({ quality: 95 }).toBuffer(), 'image/jpeg', TOKEN)
  assert.equal(response.status, 201)
  return `/image/${String(jsonFields(await response.text())['id'])}/2000w.png`
}

/** Requests on a new connection each, until it is told to stop. */
function keepAsking(t: TestContext, url: string, ca: string) {
  const dispatcher = new Agent({ pipelining: 0, allowH2: false, connect: { ca } })
  t.after(() => dispatcher.close())
  const stopped = new AbortController()
  const statuses: number[] = []
  async function ask(): Promise<void> {
    while (!stopped.signal.aborted) {
      const response = await fetchWith(url, { dispatcher })
      await response.arrayBuffer()
      statuses.push(response.status)
    }
  }
  const done = ask()
  return {
    async stop() {
      stopped.abort()
      await done
      return statuses
    },
  }
}

/** A download over HTTP/2 that rests after its first bytes. undici ends such a download when the server says that it goes away. */
async function beginDownload(t: TestContext, origin: string, path: string, ca: string) {
  const session = connectHttp2(origin, { ca })
  t.after(() => session.destroy())
  const stream = session.request({ ':path': path })
  const { promise, resolve } = Promise.withResolvers<Readonly<Record<string, unknown>>>()
  stream.once('response', resolve)
  const headers = await promise
  assert.equal(headers[':status'], 200)
  const chunks = stream.iterator({ destroyOnReturn: false })
  const first: unknown = (await chunks.next()).value
  return {
    length: Number(headers['content-length']),
    /** Reads the rest. @returns the number of all bytes. */
    async finish() {
      let bytes = Buffer.isBuffer(first) ? first.byteLength : 0
      for await (const chunk of chunks) bytes += Buffer.isBuffer(chunk) ? chunk.byteLength : 0
      return bytes
    },
  }
}

test('The commands of docs/tls.md get a certificate, switch nginx to TLS, and renew without interruption', async (t) => {
  await ensureCertbot()
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'etc-nginx'))
  const { env: store } = await newStore()
  const env = { ...store, CACHE_DIR: join(folder, 'cache'), ACCEL_PREFIX: '/_renditions/', UPLOAD_TOKENS: TOKEN }
  const node = await startNodeFor(t, { env })
  const nginxOptions = {
    nodePort: node.port,
    cacheDir: node.cacheDir,
    site: { 'root /var/www/acme;': `root ${folder}/acme;`, 'send_timeout 30s;': 'send_timeout 600s;' },
  }
  const nginx = await startNodeNginx(nginxOptions)
  stopAfter(t, nginx.stop)
  const pebble = await startPebble(t, nginx.port)
  const run = pageRunner(folder, nginx, pebble)
  const ca = pebble.root
  const tlsPort = await freePort()
  const origin = `https://${HOST}:${tlsPort}`

  const order = await blockOf('The first certificate', 'certbot certonly')
  await run(order.replace(/^apt-get .*\n/, ''))

  // The port of the plain server becomes that of the redirect, as port 80 does.
  const install = (await blockOf('nginx with TLS', 'sed --in-place')).replace(/^(?:nginx|systemctl) .*\n/gm, '')
  const conf = join(folder, 'etc-nginx/darkroom.conf')
  await writeFile(conf, await readFile(join(ROOT, 'nginx.conf')))
  await run(install)
  const redirect = join(folder, 'etc-nginx/darkroom-redirect.conf')
  const redirectLines = {
    'listen 80 default_server;': `listen 127.0.0.1:${nginx.port} default_server;`,
    'root /var/www/acme;': `root ${folder}/acme;`,
  }
  await writeFile(redirect, replaceSiteLines(await readFile(redirect, 'utf8'), redirectLines))
  const secure = await writeSiteConfig({
    ...nginxOptions,
    edited: await readFile(conf, 'utf8'),
    site: { ...nginxOptions.site, ...tlsLines(folder, tlsPort) },
  })
  const text = (await readFile(secure.file, 'utf8')).replaceAll(secure.folder, nginx.folder)
  await writeFile(join(nginx.folder, 'nginx.conf'), text)
  process.kill(nginx.pid, 'SIGHUP')

  const dispatcher = new Agent({ connect: { ca } })
  t.after(() => dispatcher.close())
  const plain = `http://127.0.0.1:${secure.port}`
  await untilListening(tlsPort)
  const picture = await largePicture(plain)
  const first = await serialNumber(tlsPort, ca)

  await t.test('HTTP redirects to HTTPS, which speaks HTTP/2', async () => {
    const redirected = await fetch(`${nginx.origin}${picture}?a=b`, { redirect: 'manual', headers: { Host: HOST } })
    assert.equal(redirected.status, 308)
    assert.equal(redirected.headers.get('location')?.replace('127.0.0.1', HOST), `https://${HOST}${picture}?a=b`)
    const missing = await fetch(`${nginx.origin}/.well-known/acme-challenge/none`)
    assert.deepEqual([missing.status, jsonFields(await missing.text())['error']], [404, 'route_not_found'])
    const session = connectHttp2(origin, { ca })
    await once(session, 'connect')
    assert.equal(session.alpnProtocol, 'h2')
    session.close()
    const record = await fetchWith(`${origin}/images/${picture.split('/')[2]}`, { dispatcher })
    assert.equal(record.status, 200)
  })

  await t.test('A forced renewal reaches new connections, while no request and no download fails', async () => {
    // The first view makes the file that nginx sends.
    const view = await beginDownload(t, origin, picture, ca)
    const length = await view.finish()
    assert.ok(length === view.length && length > 5_000_000)
    const download = await beginDownload(t, origin, picture, ca)
    const asking = keepAsking(t, `${origin}/healthz`, ca)
    await run('certbot renew --cert-name darkroom --force-renewal')
    await untilReplaced(tlsPort, ca, first)
    assert.equal(await download.finish(), length)
    const statuses = await asking.stop()
    assert.ok(statuses.length > 10 && statuses.every((status) => status === 200), statuses.join(' '))
  })

  await t.test('The doctor reports the days left', async () => {
    const root = join(folder, 'root.pem')
    await writeFile(root, ca)
    const settings = { ...env, PORT: String(node.port), PUBLIC_URL: origin, NODE_EXTRA_CA_CERTS: root }
    const { findings } = await doctorReport(settings, ['--url', plain, '--nginx-user=root'])
    const certificate = findings.find(({ check }) => check === 'certificate')
    assert.deepEqual(
      [certificate?.status, certificate?.measured],
      ['ok', { certificateDaysLeft: 89 }],
      certificate?.message,
    )
    assert.equal(findings.find(({ check }) => check === 'nginx files')?.status, 'ok')
  })

  await t.test('The same commands switch the front to TLS', async () => {
    await writeFile(conf, await readFile(join(ROOT, 'packaging/nginx/front.conf')))
    await run(install)
    await writeFile(redirect, '')
    const port = await freePort()
    const front = await startFront({
      nodes: [`127.0.0.1:${secure.port}`],
      edited: await readFile(conf, 'utf8'),
      site: tlsLines(folder, port),
    })
    stopAfter(t, front.stop)
    const view = await fetchWith(`https://${HOST}:${port}${picture}`, { dispatcher })
    assert.equal(view.status, 200)
    await view.arrayBuffer()
  })
})

async function untilListening(port: number): Promise<void> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
    const isOpen = await once(socket, 'secureConnect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    assert.ok(performance.now() < deadline, 'nginx does not listen for TLS')
  }
}
