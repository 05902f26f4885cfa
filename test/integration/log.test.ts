import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { jsonFields } from '../../tools/requests/raw-request.ts'

const WRITER = fileURLToPath(new URL('../support/log-writer.ts', import.meta.url))
const LINES = 200_000
const MB = 1e6

test('A log that nobody reads takes a bounded amount of memory, and says how many lines were dropped', async (t) => {
  const writer = fork(WRITER, [String(LINES)], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  t.after(() => writer.kill())
  const { promise, resolve } = Promise.withResolvers<unknown>()
  writer.once('message', resolve)
  const rssBytes = await promise
  assert.ok(Number(rssBytes) < 250 * MB, `${Math.round(Number(rssBytes) / MB)} MB for 200 MB of lines`)
  assert.ok(writer.stdout)
  writer.disconnect()
  let lines = 0
  let dropped = 0
  for await (const line of createInterface({ input: writer.stdout })) {
    const fields = jsonFields(line)
    if (fields['msg'] === 'line') lines += 1
    dropped += Number(fields['dropped'] ?? 0)
  }
  assert.ok(dropped > 0)
  assert.equal(lines + dropped, LINES)
})
