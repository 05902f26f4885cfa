import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { noisePicture } from '../pictures/picture.ts'
import { ask } from '../requests/ask.ts'
import { newStore, startNginxFor, temporaryFolder } from '../servers/site.ts'
import type { RowScope } from './row.ts'
import { BEHIND_NGINX, startNode, upload } from './stage.ts'

const EVERY_MS = 10_000
const VIEWERS = 8
const GOOD_SHARE = 0.999

/**
 * Kills one of two nodes behind the front every ten seconds, each time the other one, and starts it again at once, as a process
 * manager does. @throws AssertionError if less than 99.9 % of the GETs were good.
 */
export async function rollThrough(scope: RowScope, seconds: number): Promise<void> {
  const { env: storeEnv } = await newStore()
  const folders = [await temporaryFolder(scope), await temporaryFolder(scope)]
  const envOf = (at: number) => ({ ...BEHIND_NGINX, ...storeEnv, CACHE_DIR: `${folders[at]}/cache`, LOG_LEVEL: 'warn' })
  const nodes = [await startNode(scope, { env: envOf(0) }), await startNode(scope, { env: envOf(1) })]
  const nginxes = await Promise.all(nodes.map((node) => startNginxFor(scope, node)))
  const [first] = nodes
  if (first === undefined) throw new RangeError('There are two nodes')
  const ring = nginxes.map(({ port }) => `127.0.0.1:${port}`)
  const url = (await startNginxFor(scope, first, { nodes: ring })).frontOrigin
  const pictures = await Promise.all(Array.from({ length: 40 }, (_, at) => noisePicture(1000 + at, 320, 240)))
  for (const { bytes } of pictures) assert.equal((await upload(scope, url, bytes)).status, 201)

  const state = { over: false, good: 0, turn: 0, kills: 0 }
  const bad: Record<string, number> = {}
  const view = async (): Promise<void> => {
    while (!state.over) {
      const turn = (state.turn += 1)
      const id = pictures[turn % pictures.length]?.id
      // One in five has not been asked for before.
      const rest = turn % 5 === 0 ? `${30 + (turn % 280)}w,q${1 + (Math.floor(turn / 280) % 99)}/x.jpg` : '200w/x.webp'
      const status = await ask(`${url}/image/${id}/${rest}`).then(
        (answer) => {
          scope.tally.count(answer)
          return answer.status
        },
        () => 'cut',
      )
      if (status === 200) state.good += 1
      else bad[status] = (bad[status] ?? 0) + 1
    }
  }
  const viewers = Promise.all(Array.from({ length: VIEWERS }, view))
  viewers.catch(() => {})
  for (let since = 0; since < seconds * 1000; since += EVERY_MS) {
    await delay(EVERY_MS)
    const at = state.kills % 2
    const node = nodes[at]
    if (node === undefined) throw new RangeError('There are two nodes')
    process.kill(node.pid, 'SIGKILL')
    state.kills += 1
    await node.stop()
    nodes[at] = await startNode(scope, { unready: true, env: { ...envOf(at), PORT: String(node.port) } })
  }
  state.over = true
  await viewers
  const failed = Object.values(bad).reduce((sum, one) => sum + one, 0)
  const share = state.good / (state.good + failed)
  scope.says(
    `${state.kills} kills in ${seconds} s: ${state.good + failed} GETs, ${(100 * share).toFixed(3)} % good; others: ${JSON.stringify(bad)}`,
  )
  assert.ok(share >= GOOD_SHARE)
}
