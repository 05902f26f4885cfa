import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { encodeKey } from '../../src/domain/url/picture-url.ts'
import {
  type Colour,
  colourOf,
  coloursOnDisk,
  flatPicture,
  noisyPicture,
  versionFiles,
} from '../../tools/pictures/flat-picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { backgroundIsDone, type Darkroom } from '../../tools/servers/darkroom.ts'

/** Somebody who fills a bucket by other means than ours. Each resolves when his command has ended. */
export interface Filler {
  copy(file: string, key: string): Promise<void>
  remove(key: string): Promise<void>
}

/** What an overwriting or a removal may take to be seen on every node. */
const EVERYWHERE_MS = 2000
const PRIMED_WITHIN_MS = 20_000
const POLL_MS = 20
/** As AVIF in full it keeps a renderer busy for seconds; more than what three nodes need to show a small one. */
const LARGE = { width: 7000, height: 5600 } as const
/** One that `EventNodesOptions.primeSizes` names, and that nobody asks for before it is there. */
export const PRIMED_SIZE = '60w'

type Nodes = readonly [told: Darkroom, second: Darkroom, busy: Darkroom]

function pathOf(key: string, tail: string): string {
  return `/s3/photos/${encodeKey(key)}/-/${tail}`
}

async function put(filler: Filler, key: string, picture: Buffer): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-filler-'))
  try {
    await writeFile(join(folder, 'picture'), picture)
    await filler.copy(join(folder, 'picture'), key)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Seen {
  /** By `performance.now()`. */
  readonly askedAt: number
  readonly what: Colour | 'another' | number
}

interface Viewer {
  readonly seen: readonly Seen[]
  stop(): Promise<void>
}

/** Somebody who looks at one URL again and again. */
function startViewer(t: TestContext, { url }: Darkroom, path: string): Viewer {
  const seen: Seen[] = []
  const end = new AbortController()
  const look = async () => {
    while (!end.signal.aborted) {
      const askedAt = performance.now()
      const { status, body } = await rawRequest(url, path)
      seen.push({ askedAt, what: status === 200 ? await colourOf(body) : status })
      await delay(POLL_MS)
    }
  }
  const looking = look()
  const stop = async () => {
    end.abort()
    await looking
  }
  t.after(stop)
  return { seen, stop }
}

/** Waits until everybody has seen it, or should have. */
async function everybodySees(viewers: readonly Viewer[], what: Seen['what'], since: number): Promise<void> {
  const hasSeen = ({ seen }: Viewer) => seen.at(-1)?.what === what
  while (!viewers.every(hasSeen) && performance.now() < since + EVERYWHERE_MS) await delay(POLL_MS)
}

/**
 * In two seconds everybody sees the new, and from then on nobody sees anything else.
 * @returns ms until it was asked for and seen.
 */
function assertTurned(
  { seen }: Viewer,
  [before, after]: readonly [Seen['what'], Seen['what']],
  doneAt: number,
): number {
  const turn = seen.findIndex(({ what }) => what === after)
  const [askedAt = Infinity] = seen.slice(turn, turn + 1).map((entry) => entry.askedAt)
  const ms = Math.round(askedAt - doneAt)
  assert.ok(turn > 0 && ms < EVERYWHERE_MS, `${after} after ${ms} ms`)
  const kinds = (part: readonly Seen[]) => [...new Set(part.map(({ what }) => what))]
  assert.deepEqual([kinds(seen.slice(0, turn)), kinds(seen.slice(turn))], [[before], [after]])
  return ms
}

/** An object that all nodes show is overwritten, while one of them renders it; then it is removed. */
export async function assertOverwritingIsSeen(t: TestContext, nodes: Nodes, filler: Filler): Promise<void> {
  const [, , busy] = nodes
  const key = 'a b/über+x.jpg'
  const path = pathOf(key, '40w/x.png')
  await put(filler, key, await noisyPicture('red', LARGE))
  for (const { url } of nodes) assert.equal(await colourOf((await rawRequest(url, path)).body), 'red')
  for (const node of nodes) await backgroundIsDone(node)

  let isRendering = true
  const slow = rawRequest(busy.url, pathOf(key, 'full/x.avif')).finally(() => {
    isRendering = false
  })
  while ((await busy.metric('darkroom_renders_in_progress')) === 0) await delay(POLL_MS)
  const blue = await flatPicture('blue', LARGE)
  const viewers = nodes.map((node) => startViewer(t, node, path))
  while (viewers.some(({ seen }) => seen.length < 3)) await delay(POLL_MS)
  await put(filler, key, blue)
  const overwrittenAt = performance.now()
  await everybodySees(viewers, 'blue', overwrittenAt)
  assert.ok(isRendering && (await busy.metric('darkroom_renders_in_progress')) > 0, 'it was busy all the time')

  const late = await slow
  t.diagnostic(`who had waited was answered after ${Math.round(performance.now() - overwrittenAt)} ms`)
  assert.deepEqual([late.status, await colourOf(late.body)], [200, 'blue'], 'who had waited gets the new one')
  for (const { url } of nodes) {
    assert.equal(await colourOf((await rawRequest(url, pathOf(key, '41w/x.jpg'))).body), 'blue', 'a new size')
  }
  for (const viewer of viewers) {
    await viewer.stop()
    t.diagnostic(`overwritten, after ${assertTurned(viewer, ['red', 'blue'], overwrittenAt)} ms`)
  }
  for (const { cacheDir } of nodes) {
    const folders = await coloursOnDisk(cacheDir)
    assert.deepEqual([...folders.values()].map((colours) => [...colours].join()).toSorted(), ['blue', 'red'])
  }
  const inFull = (await versionFiles(busy.cacheDir)).filter((file) => file.endsWith('/full.avif'))
  assert.equal(inFull.length, 2, 'it did render the old one, to the end')

  const lookers = nodes.map((node) => startViewer(t, node, path))
  while (lookers.some(({ seen }) => seen.length < 3)) await delay(POLL_MS)
  await filler.remove(key)
  const removedAt = performance.now()
  await everybodySees(lookers, 404, removedAt)
  for (const looker of lookers) {
    await looker.stop()
    t.diagnostic(`removed, after ${assertTurned(looker, ['blue', 404], removedAt)} ms`)
  }
  for (const { url } of nodes) {
    const { status, body } = await rawRequest(url, path)
    assert.deepEqual([status, jsonFields(body).error], [404, 'original_not_found'])
  }
}

/** Nobody has asked for anything of this key. */
export async function assertSizesAreMadeAhead([told]: Nodes, filler: Filler): Promise<void> {
  const key = 'made ahead.jpg'
  const before = new Set(await versionFiles(told.cacheDir))
  for (const colour of ['red', 'green'] as const) {
    await put(filler, key, await flatPicture(colour))
    const formats = new Set<string>()
    const deadline = performance.now() + PRIMED_WITHIN_MS
    while (formats.size < 3) {
      assert.ok(performance.now() < deadline, `only ${[...formats].join(' ') || 'nothing'} is on disk`)
      await delay(POLL_MS)
      for (const file of (await versionFiles(told.cacheDir)).filter((name) => !before.has(name))) {
        const [name = '', format = ''] = file.slice(file.lastIndexOf('/') + 1).split('.')
        if (name === PRIMED_SIZE && ['jpg', 'webp', 'avif'].includes(format)) formats.add(format)
      }
    }
    await backgroundIsDone(told)
    for (const file of await versionFiles(told.cacheDir)) before.add(file)
    const { headers, body } = await rawRequest(told.url, pathOf(key, `${PRIMED_SIZE}/x.webp`))
    assert.equal(await colourOf(body), colour)
    assert.match(String(headers['server-timing']), /cache;desc="(?:memory|disk)"/)
  }
}
