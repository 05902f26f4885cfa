import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { assertPicture, noisePicture, type Picture } from '../pictures/picture.ts'
import { type Answer, ask as askOnce, recoversIn } from '../requests/ask.ts'
import { AUTHORIZATION } from '../requests/token.ts'
import type { Darkroom } from '../servers/darkroom.ts'

/** Pictures in different places of a node and its store. */
export interface StagedPictures {
  /** In the cache, as `knownUrl` gives it. */
  readonly known: Picture
  readonly knownUrl: string
  /** In the store alone. */
  readonly fresh: Picture
  readonly freshUrl: string
  /** Not uploaded yet. */
  readonly late: Picture
}

/** How a node is asked: directly or through nginx, counted or not. */
export interface Caller {
  readonly node: Darkroom
  /** Of the node, or of the nginx in front of it. */
  readonly url: string
  ask(url: string, init?: RequestInit): Promise<Answer>
  /** Uploads. */
  post(bytes: Buffer): Promise<Answer>
}

/** @param seed Of the pictures: the next stage of the same node needs others, three from this number on. */
export async function stagePictures({ node, url, ask, post }: Caller, seed = 1): Promise<StagedPictures> {
  const [known, fresh, late] = await Promise.all([
    noisePicture(seed),
    noisePicture(seed + 1, 400, 300),
    noisePicture(seed + 2),
  ])
  for (const { bytes } of [known, fresh]) assert.equal((await post(bytes)).status, 201)
  const knownUrl = `${url}/image/${known.id}/40w/x.jpg`
  assert.equal((await ask(knownUrl)).status, 200)
  // Else a look-up would find them where they came in.
  await rm(join(node.cacheDir, 'originals'), { recursive: true })
  return { known, knownUrl, fresh, freshUrl: `${url}/image/${fresh.id}/40w/x.jpg`, late }
}

/** A node and its pictures. */
export type Staged = Caller & StagedPictures

/** Asks a dozen times for the picture that is cached. @returns ms of the median answer. */
export async function cachedAnswers({ ask, knownUrl }: Pick<Staged, 'ask' | 'knownUrl'>): Promise<number> {
  const times: number[] = []
  for (let count = 0; count < 12; count += 1) {
    const { status, body, ms } = await ask(knownUrl)
    assert.equal(status, 200)
    await assertPicture(body, { format: 'jpeg', width: 40 })
    times.push(ms)
  }
  return times.toSorted((a, b) => a - b)[6] ?? 0
}

/** What failed is right without a restart, within five seconds. @returns ms until it was: GET, POST, ready. */
export async function untilRecovered({ node, url, ask, post, freshUrl, late }: Staged): Promise<readonly number[]> {
  const right = ({ status }: Answer): boolean => status === 200 || status === 201
  const times = await Promise.all([
    recoversIn(() => ask(freshUrl), right),
    recoversIn(() => post(late.bytes), right),
    recoversIn(() => askOnce(`${node.url}/readyz`), right),
  ])
  await assertPicture((await ask(freshUrl)).body, { format: 'jpeg', width: 40 })
  const original = await ask(`${url}/images/${late.id}/original`, { headers: AUTHORIZATION })
  assert.deepEqual(original.body, late.bytes)
  return times
}
