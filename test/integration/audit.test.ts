import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startRemoteHost } from '../../tools/servers/remote-host.ts'
import { temporaryFolder } from '../../tools/servers/site.ts'

const AUDIT = fileURLToPath(new URL('../../tools/audit.ts', import.meta.url))

interface Told {
  readonly status: number
  readonly body: unknown
}

/** `npm run audit` where the registry answers so. */
async function audit(t: TestContext, { status, body }: Told, ...args: string[]) {
  const registry = await startRemoteHost(t, (request, response) => {
    request.resume().on('end', () => {
      const isAsked = request.url === '/-/npm/v1/security/advisories/bulk'
      response.writeHead(isAsked ? status : 404, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify(isAsked ? body : {}))
    })
  })
  const env = {
    ...process.env,
    npm_config_registry: registry.origin,
    npm_config_cache: await temporaryFolder(t),
    npm_config_fetch_retries: '0',
  }
  const child = spawn(process.execPath, [AUDIT, ...args], { env, stdio: ['ignore', 'pipe', 'ignore'] })
  const [said] = await Promise.all([text(child.stdout), once(child, 'close')])
  assert.ok(registry.requests.length > 0, 'the registry was asked')
  return { said, code: child.exitCode }
}

test('A registry that knows of nothing passes, and what it knows of is named and fails', async (t) => {
  const clean = await audit(t, { status: 200, body: {} })
  assert.deepEqual([clean.code, clean.said.includes('0 known vulnerabilities')], [0, true], clean.said)
  const advisory = {
    id: 1,
    url: 'https://example.org/1',
    title: 'A hole',
    severity: 'high',
    vulnerable_versions: '<99',
  }
  const found = await audit(t, { status: 200, body: { koa: [{ ...advisory, cwe: [], cvss: { score: 9 } }] } })
  assert.equal(found.code, 1)
  assert.match(found.said, /^koa .*: high$/m)
  assert.ok(!found.said.includes('NOT ASKED'))
})

test('A registry that answers no audit is told of, and fails where an answer is a must', async (t) => {
  for (const status of [405, 503]) {
    const unasked = await audit(t, { status, body: { error: 'no' } })
    assert.deepEqual([unasked.code, unasked.said.startsWith('NOT ASKED: ')], [0, true], unasked.said)
    assert.ok(!unasked.said.includes('127.0.0.1') && !unasked.said.includes('known vulnerabilities'), unasked.said)
  }
  assert.equal((await audit(t, { status: 404, body: {} }, '--strict')).code, 1)
})
