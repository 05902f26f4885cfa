import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { freePort } from '../../tools/processes/free-port.ts'
import { createScope } from '../../tools/processes/scope.ts'
import { startRabbitmq } from '../../tools/servers/rabbitmq.ts'
import { newStore, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'
import { doctorReport } from '../support/doctor.ts'

const scope = createScope()
after(() => scope.close())
const broker = await startRabbitmq(scope)

/** Findings about the sinks of a file, and about the settings. */
async function examine(t: TestContext, yaml: string, more: Readonly<Record<string, string>> = {}) {
  const folder = await temporaryFolder(t)
  await chmod(folder, 0o755)
  const CACHE_DIR = join(folder, 'cache')
  await mkdir(CACHE_DIR)
  const SINKS_FILE = join(folder, 'sinks.yaml')
  await writeFile(SINKS_FILE, yaml)
  const place = { CACHE_DIR, SINKS_FILE, PORT: String(await freePort()), UPLOAD_TOKENS: TOKEN }
  const env = { ...(await newStore()).env, ...place, SINK_ALLOW_ADDRESSES: '127.0.0.1', ...more }
  const { findings } = await doctorReport(env, [])
  return findings.filter(({ check }) => check === 'sinks' || check === 'settings')
}

const sinkAt = (url: string, key = 'queue') =>
  `sinks:\n  indexer: { kind: amqp, url: "${url}", user: guest, password: $BROKER_PASSWORD, routingKey: ${key} }\n`

test('The doctor logs in at a broker, and finds a missing queue, a wrong password and an address', async (t) => {
  const right = { BROKER_PASSWORD: 'guest' }
  await (await broker.channel()).assertQueue('queue')
  assert.match(
    (await examine(t, sinkAt(broker.url), right)).at(-1)?.message ?? '',
    /The broker of sink "indexer" answers/,
  )
  const cases = [
    [sinkAt(broker.url, 'absent'), right, /no queue 'absent'/],
    [sinkAt(broker.url), { BROKER_PASSWORD: 'other' }, /refused the login/],
    [sinkAt('amqp://127.0.0.1:1'), right, /cannot be reached \(ECONNREFUSED\)/],
    [sinkAt(broker.url), { ...right, SINK_ALLOW_ADDRESSES: '' }, /not public \(SINK_ALLOW_ADDRESSES\)/],
  ] as const
  for (const [yaml, env, expected] of cases) {
    const last = (await examine(t, yaml, env)).at(-1)
    assert.equal(last?.status, 'failure')
    assert.match(last.message, expected)
  }
})

test('The doctor reads SINKS_FILE, and finds a variable that is not set', async (t) => {
  const [finding] = await examine(t, sinkAt(broker.url))
  assert.equal(finding?.status, 'failure')
  assert.match(
    finding.message,
    /SINKS_FILE\.sinks\.indexer\.password: the environment variable BROKER_PASSWORD is not set/,
  )
  assert.match(finding.fix ?? '', /docs\/events\.md/)
})
