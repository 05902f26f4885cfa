import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import { noisePicture } from '../pictures/picture.ts'
import { createRandom } from '../pictures/seeded-random.ts'
import type { Cluster } from './cluster.ts'
import { plant } from '../s3/plant.ts'
import type { Exchange } from './viewers.ts'

const PICTURES = 60
const FIRST_SEED = 9000
const VIEWS_AT_ONCE = 8
export const HIT_WIDTH = 32
const COLD_WIDTHS = { from: 33, to: 63 } as const
/** Of all requests. */
const SHARES = { upload: 0.05, cold: 0.2 } as const
/** Half of the uploads fit into the buffer of a front, which can then send them once more. */
const UPLOAD_SIDES = [48, 128] as const
const TICK_MS = 10
/** More than this waits for a frozen node. */
const MOST_WAITING = 4000

export interface SteadyLoad {
  /** Exchanges that have ended, in the order of their ends. */
  readonly exchanges: readonly Exchange[]
  /** Sends no more, and resolves when all have ended. */
  stop(): Promise<void>
}

/** `startLoadOn` the pictures of a cluster that has none yet. */
export async function startSteadyLoad(cluster: Cluster, perSecond: number, seed: number): Promise<SteadyLoad> {
  return await startLoadOn({ ...cluster, ids: await plantAll(cluster) }, perSecond, seed)
}

interface Loaded extends Pick<Cluster, 'viewers' | 'front'> {
  /** Of pictures, each of which has been viewed at the width of the hits. */
  readonly ids: readonly string[]
}

/**
 * Requests at a fixed rate, whatever the answers are: hits, first views of new sizes, uploads; each through the next front.
 *
 * @param perSecond Requests per second.
 */
export async function startLoadOn(cluster: Loaded, perSecond: number, seed: number): Promise<SteadyLoad> {
  const { ids } = cluster
  const random = createRandom(seed)
  const chance = (): number => random() / 2 ** 32
  // One upload is one file, so that a picture is never uploaded twice.
  const uploads = await Promise.all(UPLOAD_SIDES.map((side) => noisePicture(FIRST_SEED - 1, side, side)))
  const exchanges: Exchange[] = []
  const waiting = new Set<Promise<void>>()
  const state = { sent: 0, stopped: false }
  const pathOf = (width: number): string => `/image/${ids[random() % ids.length]}/${width}w`

  const send = (): Promise<Exchange> => {
    const { sent } = state
    const front = cluster.front(sent)
    const share = chance()
    if (share < SHARES.upload) {
      const { bytes = Buffer.alloc(0) } = uploads[random() % uploads.length] ?? {}
      return cluster.viewers.upload(front, '/images', Buffer.concat([bytes, Buffer.from(`upload ${seed} ${sent}`)]))
    }
    if (share >= SHARES.upload + SHARES.cold) return cluster.viewers.view(front, `${pathOf(HIT_WIDTH)}/x.webp`, 'hit')
    const width = COLD_WIDTHS.from + (random() % (COLD_WIDTHS.to - COLD_WIDTHS.from))
    // Nobody has asked for this quality.
    return cluster.viewers.view(front, `${pathOf(width)},q${30 + (sent % 60)}/x.webp`, 'cold')
  }
  const one = async (): Promise<void> => {
    exchanges.push(await send())
  }
  const run = async (): Promise<void> => {
    const began = performance.now()
    while (!state.stopped) {
      const due = ((performance.now() - began) * perSecond) / 1000
      for (; state.sent < due && waiting.size < MOST_WAITING; state.sent += 1) {
        const sent: Promise<void> = one().finally(() => waiting.delete(sent))
        waiting.add(sent)
      }
      await delay(TICK_MS)
    }
    await Promise.all(waiting)
  }
  const running = run()
  return {
    exchanges,
    async stop() {
      state.stopped = true
      await running
    },
  }
}

/** Pictures that all nodes can show, each viewed once through a front. @returns their ids. */
async function plantAll({ store, viewers, front }: Cluster): Promise<readonly string[]> {
  const ids = await plant(store, PICTURES, async (index) => (await noisePicture(FIRST_SEED + index)).bytes)
  await pLimit(VIEWS_AT_ONCE).map(ids, async (id, turn) => {
    const { status } = await viewers.view(front(turn), `/image/${id}/${HIT_WIDTH}w/x.webp`, 'cold')
    if (status !== 200) throw new Error(`A first view was answered ${status}`)
  })
  return ids
}
