import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { noisePicture, type Picture } from '../pictures/picture.ts'
import { jsonFields } from '../requests/raw-request.ts'
import type { Darkroom } from '../servers/darkroom.ts'
import { type Fault, startFaultProxy } from '../servers/fault-proxy.ts'
import { newStore, startNginxFor, temporaryFolder } from '../servers/site.ts'
import type { RowScope } from './row.ts'
import { BEHIND_NGINX, startNode, upload } from './stage.ts'
import { readOriginals } from './stored-originals.ts'

const UPLOADERS = 8
/** How long each fault lasts, and how long there is none after it. */
const FAULT_MS = 1500
const READS = { method: /^GET$/, path: /\/originals\// } as const
const WRITES = { method: /^PUT$/ } as const

/** Rows 4 to 7, 11 and 21; 22 is what every tenth upload does. */
const FAULTS: readonly (Fault | 'kill')[] = [
  { kind: 'status', status: 500, matching: WRITES },
  { kind: 'status', status: 503, code: 'SlowDown' },
  { kind: 'truncate', afterBytes: 3000, matching: READS },
  { kind: 'stall', afterBytes: 3000, matching: READS },
  { kind: 'flip', atByte: 1000, matching: READS },
  { kind: 'lose-answer', matching: WRITES },
  'kill',
]

/**
 * Uploads through two nodes while faults come and go, until so many are acknowledged; then reads the whole store.
 * @throws AssertionError for one that is lost or different, and for an object whose hash is not its name.
 */
export async function uploadThroughFaults(scope: RowScope, count: number): Promise<void> {
  const { settings, env: storeEnv, endpoint } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  const caches = [await temporaryFolder(scope), await temporaryFolder(scope)]
  const envOf = (at: number) => ({
    ...BEHIND_NGINX,
    ...storeEnv,
    S3_ENDPOINT: proxy.endpoint,
    CACHE_DIR: `${caches[at]}/cache`,
    LOG_LEVEL: 'warn',
  })
  const nodes: Darkroom[] = [await startNode(scope, { env: envOf(0) }), await startNode(scope, { env: envOf(1) })]
  const nginxes = await Promise.all(nodes.map((node) => startNginxFor(scope, node)))
  scope.after(() => proxy.stop())

  const acknowledged = new Map<string, string>()
  const state = { next: 0, refused: 0, kills: 0, faults: 0, over: false }
  const send = async (picture: Picture, at: number): Promise<boolean> => {
    const { status, body } = await upload(scope, nginxes[at % nginxes.length]?.origin ?? '', picture.bytes)
    if (status !== 200 && status !== 201) {
      state.refused += 1
      return false
    }
    assert.equal(jsonFields(body)['id'], picture.id)
    acknowledged.set(picture.id, createHash('sha256').update(picture.bytes).digest('hex'))
    return true
  }
  const uploader = async (): Promise<void> => {
    while (state.next < count) {
      state.next += 1
      const at = state.next
      const picture = await noisePicture(at)
      if (at % 10 === 0) await Promise.all([send(picture, 0), send(picture, 1)])
      for (let tries = 0; !acknowledged.has(picture.id); tries += 1) {
        assert.ok(tries < 200, `${picture.id} is refused again and again`)
        if (!(await send(picture, at + tries))) await delay(100)
      }
    }
  }
  const trouble = async (): Promise<void> => {
    for (let turn = 0; !state.over; turn += 1) {
      const fault = FAULTS[turn % FAULTS.length]
      state.faults += 1
      if (fault === 'kill') {
        const at = state.kills++ % 2
        const node = nodes[at]
        if (node === undefined) throw new RangeError('There are two nodes')
        process.kill(node.pid, 'SIGKILL')
        await node.stop()
        nodes[at] = await startNode(scope, { unready: true, env: { ...envOf(at), PORT: String(node.port) } })
      } else {
        await proxy.setFault(fault)
        await delay(FAULT_MS)
        await proxy.setFault(undefined)
      }
      await delay(FAULT_MS)
    }
  }
  const view = async (): Promise<void> => {
    for (let turn = 0; !state.over; turn += 1) {
      const id = [...acknowledged.keys()].at(-1 - (turn % 50))
      if (id === undefined) await delay(20)
      else await scope.tally.ask(`${nginxes[turn % 2]?.origin}/image/${id}/${20 + (turn % 40)}w/x.jpg`)
    }
  }
  const around = Promise.all([trouble(), view()])
  around.catch(() => {})
  await Promise.all(Array.from({ length: UPLOADERS }, uploader)).finally(() => {
    state.over = true
  })
  await around
  await proxy.setFault(undefined)

  const { hashes, damaged } = await readOriginals(settings)
  const lost = [...acknowledged].filter(([id, hash]) => hashes.get(id) !== hash)
  scope.says(
    `${acknowledged.size} uploads acknowledged, ${state.refused} refused and repeated, while ${state.faults} faults came and went, ` +
      `${state.kills} of them kill -9; in the store ${hashes.size} originals: ${lost.length} lost or different, ${damaged.length} whose hash is not their name`,
  )
  assert.deepEqual([lost.length, damaged.length, acknowledged.size], [0, 0, count])
}
