import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { noisePicture } from '../pictures/picture.ts'
import { recoversIn } from '../requests/ask.ts'
import { percentile } from '../requests/percentile.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { fixture } from '../servers/darkroom.ts'
import { startRawHost } from '../servers/remote-host.ts'
import { type DnsAnswer, startStubDns } from '../servers/stub-dns.ts'
import type { FaultRow, RowScope } from './row.ts'
import { type Stage, setStage } from './stage.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n'

/** Hosts of bad manners, each with the only answer it gives. */
const HOSTS: Readonly<Record<string, (socket: Socket) => void>> = {
  'says nothing': () => {},
  'hangs up': (socket) => socket.destroy(),
  'speaks no HTTP': (socket) => socket.end('220 mail.test ESMTP\r\n'),
  fails: (socket) => socket.end('HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n'),
  'sends a page': (socket) =>
    socket.end('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<!doctype html>'),
  'ends too early': (socket) => socket.end(`${OK}Content-Length: 100\r\n\r\nshort`),
  'stops in the middle': (socket) => socket.write(`${OK}Content-Length: 100\r\n\r\nshort`),
  'comes byte by byte'(socket) {
    socket.write(`${OK}Content-Length: 1000000\r\n\r\n`)
    const timer = setInterval(() => socket.write('x'), 200)
    socket.on('close', () => clearInterval(timer))
  },
  'says that it is huge': (socket) => socket.write(`${OK}Content-Length: 999999999999\r\n\r\n`),
  'sends us round and round': (socket) =>
    socket.end('HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n'),
  'sends us inside': (socket) =>
    socket.end('HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n'),
}

interface Remotes extends Stage {
  readonly dns: { says: DnsAnswer }
  /** A picture of a host under a name. @param kind Of `HOSTS`, or `good`. */
  remote(name: string, kind: string): string
}

/** A node that may ask hosts below `.test`, which are all on loopback as long as the name server says so. */
async function setRemotes(scope: RowScope): Promise<Remotes> {
  const dns: { says: DnsAnswer } = { says: ['127.0.0.1'] }
  const { server } = await startStubDns(scope, ({ type }) =>
    type === 'A' || typeof dns.says === 'string' ? dns.says : 'absent',
  )
  const hosts = await Promise.all(Object.values(HOSTS).map((answer) => startRawHost(scope, answer)))
  const photograph = await fixture('mountains.jpg')
  const good = await startRawHost(scope, (socket) => {
    socket.write(`${OK}Content-Length: ${photograph.length}\r\nCache-Control: max-age=0\r\n\r\n`)
    socket.write(photograph)
  })
  const ports = new Map(Object.keys(HOSTS).map((kind, at) => [kind, hosts[at]?.port]))
  ports.set('good', good.port)
  const env = {
    REMOTE_HOSTS: [...ports.values()].map((port) => `*.test:${port}`).join(' '),
    REMOTE_ALLOW_ADDRESSES: '127.0.0.1',
    REMOTE_DNS: server,
  }
  const stage = await setStage(scope, { env })
  const remote = (name: string, kind: string): string =>
    `${stage.url}/image?url=${encodeURIComponent(`http://${name}.test:${ports.get(kind)}/a.jpg`)}&size=100w&format=jpg`
  const shown = await scope.tally.ask(remote('first', 'good'))
  assert.equal(shown.status, 200, shown.body.toString())
  return { ...stage, dns, remote }
}

async function misbehaving(scope: RowScope): Promise<void> {
  const { remote } = await setRemotes(scope)
  const names = Object.keys(HOSTS)
  const answers = await Promise.all(names.map((name) => scope.tally.ask(remote('host', name))))
  const said: string[] = []
  for (const [at, { status, headers, body, ms }] of answers.entries()) {
    const name = names[at] ?? ''
    assert.ok([403, 413, 422, 502].includes(status), `${name}: ${status}`)
    assert.ok(ms <= 15_000, `${name}: ${Math.round(ms)} ms`)
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.ok(String(jsonFields(body)['message']).length > 10)
    said.push(`${name} ${status} in ${Math.round(ms)} ms`)
  }
  scope.says(said.join(', '))
}

async function nameless(scope: RowScope): Promise<void> {
  const { dns, remote, url, post } = await setRemotes(scope)
  for (const trouble of ['silent', 'failing'] as const) {
    dns.says = trouble
    const flight = { landed: false }
    const asked = Array.from({ length: 64 }, (_, at) => scope.tally.ask(remote(`${trouble}${at}`, 'good')))
    const answers = Promise.all(asked).finally(() => {
      flight.landed = true
    })
    answers.catch(() => {})
    const waits: number[] = []
    let seed = trouble === 'silent' ? 400 : 600
    while (!flight.landed) {
      const { bytes, id } = await noisePicture((seed += 1))
      const taken = await post(bytes)
      const shown = await scope.tally.ask(`${url}/image/${id}/30w/x.jpg`)
      assert.deepEqual([taken.status, shown.status], [201, 200])
      waits.push(taken.ms + shown.ms)
    }
    const seen = await answers
    for (const { status } of seen) assert.ok([422, 502, 503].includes(status), `${status}`)
    const slowestMs = Math.round(Math.max(...seen.map(({ ms }) => ms)))
    scope.says(
      `${trouble}: 64 remote pictures ${[...new Set(seen.map(({ status }) => status))].join(' or ')} within ${slowestMs} ms; beside them ` +
        `${waits.length} uploads with their thumbnails, p99 ${percentile(waits, 0.99)} ms`,
    )
    assert.ok(slowestMs <= 5000 && percentile(waits, 0.99) < 1000)
  }
  dns.says = ['127.0.0.1']
  scope.recovered(
    await recoversIn(
      () => scope.tally.ask(remote('again', 'good')),
      ({ status }) => status === 200,
    ),
  )
}

export const REMOTE_ROWS: readonly FaultRow[] = [
  {
    row: 35,
    fault: 'remote origin misbehaves',
    what: `Eleven hosts: one that ${Object.keys(HOSTS).join(', one that ')}`,
    run: misbehaving,
  },
  {
    row: 36,
    fault: 'DNS down or slow',
    what: 'The name server does not respond, then fails, with 64 requests for remote pictures beside uploads',
    run: nameless,
  },
]
