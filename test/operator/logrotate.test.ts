import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { runCommand } from '../../tools/processes/process.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { ensureLogrotate } from '../../tools/servers/install-servers.ts'
import { startMtail } from '../../tools/servers/mtail.ts'
import { startNodeNginx } from '../../tools/servers/nginx.ts'
import { startNodeFor, stopAfter, temporaryFolder } from '../../tools/servers/site.ts'

const ENTRY = join(import.meta.dirname, '../../packaging/logrotate/darkroom')
const ROTATIONS = 5

/** Debian's entry for all logs of nginx, beside ours as in /etc/logrotate.d. @returns runs logrotate on both. */
async function logrotate(t: TestContext, logs: string) {
  const folder = await temporaryFolder(t)
  const text = await readFile(ENTRY, 'utf8')
  const ours = text
    .replace('/var/log/nginx/darkroom.log', join(logs, 'access.log'))
    .replaceAll('/run/nginx.pid', join(logs, 'nginx.pid'))
    .replace('www-data adm', 'root root')
  assert.notEqual(ours, text)
  await writeFile(join(folder, 'darkroom'), ours, { mode: 0o644 })
  await writeFile(join(folder, 'nginx'), `${logs}/*.log {\n  daily\n}\n`, { mode: 0o644 })
  const config = join(folder, 'logrotate.conf')
  await writeFile(config, `include ${folder}/darkroom\ninclude ${folder}/nginx\n`, { mode: 0o644 })
  const command = await ensureLogrotate()
  return () => runCommand(command, ['--force', '--state', join(folder, 'state'), config])
}

/** Requests in the log and in what logrotate kept of it. */
async function loggedRequests(logs: string): Promise<number> {
  const names = (await readdir(logs)).filter((name) => name.startsWith('access.log'))
  const texts = await Promise.all(
    names.map(async (name) => {
      const bytes = await readFile(join(logs, name))
      return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
    }),
  )
  return texts.join('').split('\n').length - 1
}

test('logrotate rotates the log of nginx under requests: no line is lost, and mtail counts all of them', async (t) => {
  const node = await startNodeFor(t, { env: { ACCEL_PREFIX: '/_renditions/' } })
  const nginx = await startNodeNginx({ nodePort: node.port, cacheDir: node.cacheDir })
  stopAfter(t, nginx.stop)
  const mtail = await startMtail(t, join(nginx.folder, 'access.log'))
  const rotate = await logrotate(t, nginx.folder)
  const url = `${nginx.origin}/image/${await uploadFixture(node.url, 'mountains.jpg')}/40w.webp`

  let requests = 0
  const rotated = new AbortController()
  const load = async () => {
    while (!rotated.signal.aborted) {
      const response = await fetch(url)
      requests += 1
      await response.arrayBuffer()
      assert.equal(response.status, 200)
    }
  }
  const clients = Promise.all([load(), load()])
  for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
    const before = requests
    // nginx has written some of them, and has others in its buffer.
    await mtail.untilCounted(before + 50)
    await rotate()
  }
  rotated.abort()
  await clients
  const metrics = await mtail.untilCounted(requests)
  assert.equal(metrics.get('darkroom_nginx_requests_total{route="image",status="200"}'), requests)
  assert.equal(await loggedRequests(nginx.folder), requests)
  const kept = (await readdir(nginx.folder)).filter((name) => name.startsWith('access.log')).toSorted()
  assert.deepEqual(kept, ['access.log', 'access.log.1', ...[2, 3, 4, 5].map((number) => `access.log.${number}.gz`)])
})
