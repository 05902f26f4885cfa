import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { startNodeFor } from '../../tools/servers/site.ts'

const autogroup = (pid: number | 'self') => readFile(`/proc/${pid}/autogroup`, 'utf8')

test('A node behind nginx that leads its session lowers its priority; one alone keeps it', async (t) => {
  // Kernels are built without autogroups too.
  const own = await autogroup('self').catch(() => '')
  if (own === '') return
  const behindNginx = await startNodeFor(t, { env: { ACCEL_PREFIX: '/_renditions/' } })
  const alone = await startNodeFor(t)
  assert.match(await autogroup(behindNginx.pid), / nice 5$/m)
  assert.match(await autogroup(alone.pid), / nice 0$/m)
  assert.equal(await autogroup('self'), own)
})
