import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { idOf } from '../pictures/picture.ts'
import { ask } from '../requests/ask.ts'
import { rawRequest } from '../requests/raw-request.ts'
import { type Darkroom, fixture } from '../servers/darkroom.ts'
import type { RowScope } from './row.ts'
import { startNode } from './stage.ts'

const VIEWERS = 8

export interface Termination {
  readonly answers: number
  readonly afterSignal: number
  readonly endedMs: number
}

/**
 * SIGTERM for a node whose viewers ask for slow and quick pictures, one after the other, on connections of their own.
 * @throws AssertionError unless it says "not ready", answers all that it accepted, and ends with 0 within ten seconds.
 */
export async function terminate(scope: RowScope, env: Readonly<Record<string, string>>): Promise<Termination> {
  const node = await startNode(scope, { env: { ...env, DRAIN_SECONDS: '1' } })
  const bytes = await fixture('mountains.jpg')
  const headers = { 'Content-Type': 'image/jpeg' }
  const posted = await scope.tally.ask(`${node.url}/images`, { method: 'POST', headers, body: new Uint8Array(bytes) })
  assert.ok(posted.status < 300)
  const id = idOf(bytes)
  const seenBy = { answers: 0 }
  const view = async (number: number): Promise<void> => {
    for (let turn = 0; ; turn += 1) {
      const slow = `/image/${id}/${300 + number * 100 + (turn % 99)}w,q${20 + (turn % 70)}/x.avif`
      const answer = await rawRequest(node.url, number % 2 === 0 ? slow : `/image/${id}/200w/x.jpg`).catch(
        () => undefined,
      )
      // Refused, or the kernel had taken the connection when the node took no more: it has not seen the request.
      if (answer === undefined) return
      assert.equal(answer.status, 200, answer.body.toString())
      scope.tally.add(200, 1)
      seenBy.answers += 1
    }
  }
  const viewers = Promise.all(Array.from({ length: VIEWERS }, (_, number) => view(number)))
  viewers.catch(() => {})
  while (seenBy.answers < 30) await delay(10)
  const before = seenBy.answers
  const signalled = performance.now()
  process.kill(node.pid, 'SIGTERM')
  const ready = await untilUnready(node)
  await viewers
  const endedMs = Math.round(await untilEnded(node, signalled))
  assert.match(ready, /shutting down/)
  assert.ok(endedMs <= 10_000, `${endedMs} ms`)
  const { answers } = seenBy
  const log = await node.log()
  assert.ok(
    log.some(({ msg }) => msg === 'stopped'),
    'it ended before it had stopped',
  )
  const seen = log.filter(({ path }) => String(path).startsWith('/image/'))
  assert.deepEqual([...new Set(seen.map(({ status }) => status))], [200])
  assert.equal(seen.length, answers, 'each request that the node has seen was answered')
  await node.stop()
  return { answers, afterSignal: answers - before, endedMs }
}

async function untilUnready({ url }: Darkroom): Promise<string> {
  for (;;) {
    const { status, body } = await ask(`${url}/readyz`)
    if (status !== 200) return body.toString()
  }
}

/** @returns ms since `from`. */
async function untilEnded({ pid }: Darkroom, from: number): Promise<number> {
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
    const [state = ''] = stat.slice(stat.lastIndexOf(')') + 2)
    if (state === '' || state === 'Z') return performance.now() - from
    await delay(10)
  }
}
