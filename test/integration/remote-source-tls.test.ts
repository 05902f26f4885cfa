import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:https'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls'
import { type Certificate, type CertificateSettings, makeCertificate } from '../../tools/servers/certificate.ts'
import {
  listen,
  type RemoteHostServer,
  remoteSource,
  startRawHost,
  startRemoteHost,
} from '../../tools/servers/remote-host.ts'
import { startStubDns } from '../../tools/servers/stub-dns.ts'

const never = new AbortController().signal

/** Lets this process trust a certificate until the test is over. */
function trust(t: TestContext, { cert }: Certificate): void {
  const before = getCACertificates('default')
  setDefaultCACertificates([...before, cert])
  t.after(() => setDefaultCACertificates(before))
}

interface SecureHost extends Omit<RemoteHostServer, 'requests'> {
  readonly server: Server
  readonly certificate: Certificate
}

async function startSecureHost(t: TestContext, settings: CertificateSettings): Promise<SecureHost> {
  const certificate = await makeCertificate(settings)
  const server = createServer(certificate, (_request, response) => response.end('cat'))
  return { ...(await listen(t, server, {})), server, certificate }
}

test('https is verified for the name, and the server is told that name', async (t) => {
  const host = await startSecureHost(t, { names: ['DNS:cat.example'] })
  trust(t, host.certificate)
  const told: unknown[] = []
  host.server.on('secureConnection', (socket: TLSSocket) => told.push(socket.servername, socket.alpnProtocol))
  const dns = await startStubDns(t, () => ['127.0.0.1'])
  const source = remoteSource(t, { hosts: [`https://cat.example:${host.port}`], dnsServers: [dns.server] })
  for (let turn = 0; turn < 2; turn += 1) {
    const answer = await source.fetch(`https://cat.example:${host.port}/`, {}, never)
    assert.ok(answer.kind === 'body' && (await buffer(answer.body)).toString() === 'cat')
  }
  assert.deepEqual([host.accepted(), told], [1, ['cat.example', 'http/1.1']])
})

test('https to an address is verified for the address', async (t) => {
  const host = await startSecureHost(t, { names: ['IP:127.0.0.1'] })
  trust(t, host.certificate)
  const source = remoteSource(t, { hosts: [`https://127.0.0.1:${host.port}`, `https://127.0.0.9:${host.port}`] })
  const answer = await source.fetch(`https://127.0.0.1:${host.port}/`, {}, never)
  assert.ok(answer.kind === 'body' && (await buffer(answer.body)).toString() === 'cat')
})

const BAD_CERTIFICATES = [
  ['of another name', { names: ['DNS:dog.example'] }, true],
  ['of an address rather than the name', { names: ['IP:127.0.0.1'] }, true],
  ['that has expired', { names: ['DNS:cat.example'], days: -1 }, true],
  ['that nobody trusts', { names: ['DNS:cat.example'] }, false],
] as const
for (const [what, settings, isTrusted] of BAD_CERTIFICATES) {
  test(`a certificate ${what} is refused before a request is sent`, async (t) => {
    const host = await startSecureHost(t, settings)
    if (isTrusted) trust(t, host.certificate)
    let requests = 0
    host.server.on('request', () => {
      requests += 1
    })
    const dns = await startStubDns(t, () => ['127.0.0.1'])
    const source = remoteSource(t, { hosts: [`cat.example:${host.port}`], dnsServers: [dns.server] })
    await assert.rejects(source.fetch(`https://cat.example:${host.port}/`, {}, never), {
      code: 'remote_failed',
      message: 'The remote host has no valid TLS certificate',
    })
    assert.deepEqual([host.accepted(), requests], [1, 0])
  })
}

test('a server that does not speak TLS, or never shakes hands, is a clean error within its limit', async (t) => {
  const plain = await startRemoteHost(t, (_request, response) => response.end('cat'))
  const silent = await startRawHost(t, () => {})
  const hosts = [plain, silent].map(({ port }) => `127.0.0.1:${port}`)
  const source = remoteSource(t, { hosts, limits: { connectTimeoutMs: 200 } })
  await assert.rejects(source.fetch(`https://127.0.0.1:${plain.port}/`, {}, never), {
    code: 'remote_failed',
    message: 'The remote host caused a TLS protocol error',
  })
  await assert.rejects(source.fetch(`https://127.0.0.1:${silent.port}/`, {}, never), {
    code: 'remote_failed',
    message: 'The remote host did not accept the connection in time',
  })
  while (silent.open() > 0) await new Promise(setImmediate)
})

test('a redirection from https to http is refused, the other way is followed', async (t) => {
  const plain = await startRemoteHost(t, (_request, response) =>
    response.writeHead(302, { Location: `https://127.0.0.1:${secure.port}/` }).end(),
  )
  const certificate = await makeCertificate({ names: ['IP:127.0.0.1'] })
  trust(t, certificate)
  const secure = await listen(
    t,
    createServer(certificate, (request, response) => {
      if (request.url === '/') response.end('cat')
      else response.writeHead(302, { Location: `${plain.origin}/` }).end()
    }),
    {},
  )
  const source = remoteSource(t, { hosts: [plain, secure].map(({ port }) => `127.0.0.1:${port}`) })
  const answer = await source.fetch(`${plain.origin}/`, {}, never)
  assert.ok(answer.kind === 'body' && (await buffer(answer.body)).toString() === 'cat')
  const down = source.fetch(`https://127.0.0.1:${secure.port}/down`, {}, never)
  await assert.rejects(down, { code: 'remote_failed', message: 'The remote host redirected from https to http' })
  assert.equal(plain.accepted(), 1)
})
