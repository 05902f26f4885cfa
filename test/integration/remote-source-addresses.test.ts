import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { parseRemoteHost } from '../../src/domain/network/remote-hosts.ts'
import type { RemoteAnswer } from '../../src/service/ports/remote.ts'
import {
  type RemoteHostServer,
  type RemoteSettings,
  remoteSource,
  startRemoteHost,
} from '../../tools/servers/remote-host.ts'
import { startStubDns } from '../../tools/servers/stub-dns.ts'
import { FORBIDDEN_HOSTS } from '../support/forbidden-addresses.ts'

const never = new AbortController().signal
const SOCKETS = 'net.client.socket'

/** Counts every attempt of this process to connect anywhere, whether somebody listens there or not. */
function countSockets(t: TestContext): () => number {
  let sockets = 0
  const count = (): void => {
    sockets += 1
  }
  subscribe(SOCKETS, count)
  t.after(() => unsubscribe(SOCKETS, count))
  return () => sockets
}

/** A server on each of this machine's loopback addresses, with one port. */
async function startVictims(t: TestContext): Promise<{ port: number; accepted: () => number }> {
  const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'))
  const first = await startRemoteHost(t, (_request, response) => response.end('secret'))
  const { port } = first
  const victims: RemoteHostServer[] = [first]
  for (const address of ['127.0.0.2', ...(hasIpv6 ? ['::1'] : [])]) {
    victims.push(await startRemoteHost(t, (_request, response) => response.end('secret'), { address, port }))
  }
  return { port, accepted: () => victims.reduce((sum, victim) => sum + victim.accepted(), 0) }
}

/** The host as an operator would have to write it, so that the list lets it through and only the address is left. */
function asEntry(url: string): readonly string[] {
  if (!URL.canParse(url)) return []
  const { hostname, port } = new URL(url)
  try {
    parseRemoteHost(`${hostname}:${port}`)
  } catch {
    return []
  }
  return [`${hostname}:${port}`]
}

const strict = (t: TestContext, settings: RemoteSettings): ReturnType<typeof remoteSource> =>
  remoteSource(t, { allowedAddresses: [], ...settings })

async function assertRefused(fetching: Promise<RemoteAnswer>): Promise<void> {
  await assert.rejects(
    fetching,
    (error) =>
      error instanceof Error &&
      'code' in error &&
      (error.code === 'remote_not_allowed' || error.code === 'invalid_path') &&
      !error.message.includes('secret'),
  )
}

test('the sockets that are counted are those of this adapter', async (t) => {
  const sockets = countSockets(t)
  const { port, accepted } = await startVictims(t)
  const source = remoteSource(t, { hosts: [`127.0.0.1:${port}`] })
  const answer = await source.fetch(`http://127.0.0.1:${port}/cat.jpg`, {}, never)
  assert.ok(answer.kind === 'body' && (await buffer(answer.body)).toString() === 'secret')
  assert.deepEqual([sockets(), accepted()], [1, 1])
})

test(`${FORBIDDEN_HOSTS.length} spellings of a forbidden address open no connection, though the list names them, or every host`, async (t) => {
  const { port, accepted } = await startVictims(t)
  const sockets = countSockets(t)
  for (const host of FORBIDDEN_HOSTS) {
    for (const scheme of ['http', 'https']) {
      const url = `${scheme}://${host}:${port}/cat.jpg`
      for (const hosts of [['example.com', ...asEntry(url)], [`*:${port}`]]) {
        const source = strict(t, { hosts })
        await assertRefused(source.fetch(url, {}, never))
        await source.close()
      }
    }
  }
  assert.deepEqual([sockets(), accepted()], [0, 0])
})

test('a redirection to any of them opens no connection, though the list names them, or every host', async (t) => {
  const { port, accepted } = await startVictims(t)
  let location = ''
  const redirector = await startRemoteHost(
    t,
    (_request, response) => response.writeHead(302, { Location: location }).end(),
    { address: '127.0.0.9' },
  )
  const sockets = countSockets(t)
  for (const host of FORBIDDEN_HOSTS) {
    // A header of HTTP has none but bytes: the rest goes out as a server would write it.
    location = `http://${host}:${port}/cat.jpg`.replace(/[^\u0021-\u007e]/g, (character) =>
      encodeURIComponent(character),
    )
    for (const entries of [asEntry(location), [`*:${port}`]]) {
      const source = strict(t, {
        hosts: [`127.0.0.9:${redirector.port}`, ...entries],
        allowedAddresses: ['127.0.0.9'],
      })
      await assert.rejects(
        source.fetch(`${redirector.origin}/`, {}, never),
        (error) =>
          error instanceof Error && 'code' in error && /^remote_(?:not_allowed|failed)$/.test(String(error.code)),
      )
      await source.close()
    }
  }
  assert.equal(redirector.accepted(), 2 * FORBIDDEN_HOSTS.length)
  assert.deepEqual([sockets(), accepted()], [2 * FORBIDDEN_HOSTS.length, 0])
})

const FORBIDDEN_ANSWERS = [
  ['127.0.0.1'],
  ['::1'],
  ['::ffff:127.0.0.1'],
  ['64:ff9b::7f00:1'],
  ['2002:7f00:1::'],
  ['0.0.0.0'],
  ['::'],
  ['10.0.0.1'],
  ['169.254.169.254'],
  ['fd00:ec2::254'],
  ['fe80::1'],
  ['192.168.0.1', '127.0.0.1'],
  // One that is allowed beside it, before or after, in the other family too.
  ['127.0.0.9', '127.0.0.1'],
  ['127.0.0.1', '127.0.0.9'],
  ['127.0.0.9', '::1'],
  ['2606:4700:4700::1111', '127.0.0.1'],
] as const
for (const addresses of FORBIDDEN_ANSWERS) {
  test(`a name that resolves to ${addresses.join(' and ')} opens no connection`, async (t) => {
    const { port, accepted } = await startVictims(t)
    const dns = await startStubDns(t, () => addresses)
    const sockets = countSockets(t)
    const hosts = [`cat.example:${port}`]
    const source = strict(t, { hosts, dnsServers: [dns.server], allowedAddresses: ['127.0.0.9'] })
    await assert.rejects(source.fetch(`http://cat.example:${port}/`, {}, never), {
      code: 'remote_not_allowed',
      message: 'The address of this host is not public (REMOTE_ALLOW_ADDRESSES)',
    })
    assert.deepEqual([sockets(), accepted()], [0, 0])
    assert.deepEqual(dns.questions.toSorted(), ['A cat.example', 'AAAA cat.example'])
  })
}

test('a name that resolves to an allowed address first and to a forbidden one next never leads to the latter', async (t) => {
  const { port, accepted } = await startVictims(t)
  const allowed = await startRemoteHost(
    t,
    (_request, response) => response.setHeader('Connection', 'close').end('cat'),
    {
      address: '127.0.0.9',
      port,
    },
  )
  // Every second question gets the forbidden one: whoever looked a name up twice for one connection would fall for it.
  const dns = await startStubDns(t, ({ before }) => (before % 2 === 0 ? ['127.0.0.9'] : ['127.0.0.1']))
  const sockets = countSockets(t)
  const hosts = [`cat.example:${port}`]
  const source = strict(t, { hosts, dnsServers: [dns.server], allowedAddresses: ['127.0.0.9'] })
  for (let turn = 0; turn < 6; turn += 1) {
    const fetching = source.fetch(`http://cat.example:${port}/${turn}`, {}, never)
    if (turn % 2 === 1) {
      await assert.rejects(fetching, { code: 'remote_not_allowed' })
    } else {
      const answer = await fetching
      assert.ok(answer.kind === 'body' && (await buffer(answer.body)).toString() === 'cat')
    }
  }
  assert.deepEqual([sockets(), accepted(), allowed.accepted()], [3, 0, 3])
  assert.deepEqual([...new Set(allowed.requests.map(({ headers }) => headers.host))], [`cat.example:${port}`])
})

test('a kept connection stays where it was checked, whatever the name says meanwhile', async (t) => {
  const { port, accepted } = await startVictims(t)
  const allowed = await startRemoteHost(t, (_request, response) => response.end('cat'), { address: '127.0.0.9', port })
  const dns = await startStubDns(t, ({ before }) => (before === 0 ? ['127.0.0.9'] : ['127.0.0.1']))
  const hosts = [`cat.example:${port}`]
  const source = strict(t, { hosts, dnsServers: [dns.server], allowedAddresses: ['127.0.0.9'] })
  for (let turn = 0; turn < 3; turn += 1) {
    const answer = await source.fetch(`http://cat.example:${port}/${turn}`, {}, never)
    assert.ok(answer.kind === 'body' && (await buffer(answer.body)).toString() === 'cat')
  }
  assert.deepEqual([accepted(), allowed.accepted(), dns.questions.length], [0, 1, 2])
})

test('a redirection to another name is looked up and checked as well', async (t) => {
  const { port, accepted } = await startVictims(t)
  const allowed = await startRemoteHost(
    t,
    (_request, response) => response.writeHead(302, { Location: `http://inside.cat.example:${port}/` }).end(),
    { address: '127.0.0.9', port },
  )
  const dns = await startStubDns(t, ({ name }) => (name === 'cat.example' ? ['127.0.0.9'] : ['127.0.0.1']))
  const hosts = [`cat.example:${port}`, `*.cat.example:${port}`]
  const source = strict(t, { hosts, dnsServers: [dns.server], allowedAddresses: ['127.0.0.9'] })
  await assert.rejects(source.fetch(`http://cat.example:${port}/`, {}, never), { code: 'remote_not_allowed' })
  assert.deepEqual([accepted(), allowed.accepted()], [0, 1])
})

test('names of /etc/hosts mean nothing', async (t) => {
  const { port, accepted } = await startVictims(t)
  const dns = await startStubDns(t, () => 'absent')
  const hosts = [`localhost:${port}`]
  const source = strict(t, { hosts, dnsServers: [dns.server], allowedAddresses: ['127.0.0.0/8', '::1'] })
  await assert.rejects(source.fetch(`http://localhost:${port}/`, {}, never), {
    code: 'remote_failed',
    message: 'The remote host has no address in DNS',
  })
  assert.equal(accepted(), 0)
})

test('DNS that fails, or is silent, is a clean error within its limit', async (t) => {
  const dns = await startStubDns(t, ({ name }) => (name === 'failing.example' ? 'failing' : 'silent'))
  const sockets = countSockets(t)
  const source = strict(t, { hosts: ['*.example'], dnsServers: [dns.server], limits: { dnsTimeoutMs: 300 } })
  const begun = performance.now()
  for (const name of ['failing', 'silent']) {
    await assert.rejects(source.fetch(`http://${name}.example/`, {}, never), {
      code: 'remote_failed',
      message: 'The remote host could not be resolved in DNS',
    })
  }
  assert.ok(performance.now() - begun < 5000)
  assert.equal(sockets(), 0)
})

test('names that are being looked up hold up nothing else: not one thread waits for them', async (t) => {
  const dns = await startStubDns(t, () => 'silent')
  const source = strict(t, { hosts: ['*.example'], dnsServers: [dns.server] })
  const client = new AbortController()
  const fetches = Array.from({ length: 60 }, (_, index) =>
    source.fetch(`http://host-${index}.example/`, {}, client.signal).catch((error: unknown) => error),
  )
  while (new Set(dns.questions).size < 120) await new Promise(setImmediate)
  // Of libuv's threads, as getaddrinfo would be.
  await readFile(import.meta.filename)
  const reason = new Error('all is shown')
  client.abort(reason)
  assert.deepEqual([...new Set(await Promise.all(fetches))], [reason])
})

test('one family of addresses is enough where the other has no answer', async (t) => {
  const host = await startRemoteHost(t, (_request, response) => response.end('cat'))
  const dns = await startStubDns(t, ({ type, name }) => {
    if (type === 'A') return ['127.0.0.1']
    return name === 'failing.example' ? 'failing' : 'silent'
  })
  const hosts = [`*.example:${host.port}`]
  // Nobody waits for that: here it would be for longer than the test may take.
  const source = remoteSource(t, { hosts, dnsServers: [dns.server], limits: { dnsTimeoutMs: 3_600_000 } })
  for (const name of ['failing', 'silent']) {
    const answer = await source.fetch(`http://${name}.example:${host.port}/`, {}, never)
    assert.ok(answer.kind === 'body' && (await buffer(answer.body)).toString() === 'cat')
  }
})

test('where the first address refuses, the next one is tried', async (t) => {
  const host = await startRemoteHost(t, (_request, response) => response.end('cat'))
  const dns = await startStubDns(t, () => ['127.0.0.8', '127.0.0.1'])
  const hosts = [`cat.example:${host.port}`]
  const source = remoteSource(t, { hosts, dnsServers: [dns.server], allowedAddresses: ['127.0.0.0/8'] })
  const answer = await source.fetch(`http://cat.example:${host.port}/`, {}, never)
  assert.ok(answer.kind === 'body')
  answer.body.resume()
  await once(answer.body, 'end')
})
