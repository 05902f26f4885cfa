import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import pLimit from 'p-limit'
import { cpuSeconds } from '../tools/processes/process-use.ts'
import { jsonFields } from '../tools/requests/raw-request.ts'
import { startDarkroom, upload } from '../tools/servers/darkroom.ts'
import { type BenchOptions, type BenchReport, type Figure, measureInTurn, median } from './measure.ts'
import { startNodeProcess } from './node-process.ts'
import type { Photograph } from './render-photographs.ts'

const FIXTURES = fileURLToPath(new URL('../test/fixtures', import.meta.url))
const CLIENTS = 8
const LONGEST_SIDE = 400
/** Requests of a round: enough CPU time to count in hundredths of a second. */
const GROUPS = [
  { name: '2mp', label: '2 MP', wanted: 0.7, requests: 120 },
  { name: '12mp', label: '12 MP', wanted: 0.85, requests: 56 },
  { name: '24mp', label: '24 MP', wanted: 0.9, requests: 40 },
] as const
const ROUNDS = 5
/** Each round asks for other widths, and each request of it for another quality, so that nothing is there already. */
const FIRST_QUALITY = 60

const SIDES = ['sharp', 'darkroom'] as const
type Side = (typeof SIDES)[number]

interface Wanted {
  readonly width: number
  readonly height: number
  readonly quality: number
}

interface Server {
  readonly pid: number
  url(original: Photograph, wanted: Wanted): string
}

/**
 * The first view of a rendition, its original being on the disk, against sharp alone doing the same: CPU time of the whole
 * process for each, with 8 clients.
 */
export async function benchMisses({ smoke, imagesDir }: BenchOptions): Promise<BenchReport> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-bench-'))
  // Of the original itself, as sharp alone does it.
  const node = await startDarkroom({ env: { MEZZANINE_MIN_PIXELS: '0' } })
  const bare = await startNodeProcess('bare-sharp.ts', { IMAGES: folder })
  try {
    const groups = smoke ? [{ name: 'mountains', label: '1 MP', wanted: undefined, requests: 8 }] : GROUPS
    const figures: Figure[] = []
    const raw: Record<string, unknown> = {}
    for (const { name, label, wanted, requests } of groups) {
      await copyImages(smoke ? FIXTURES : imagesDir, name, folder)
      const originals = await uploadAll(node.url, folder)
      const servers = {
        sharp: {
          pid: bare.pid,
          url: ({ file }, { width, height, quality }) =>
            `http://127.0.0.1:${bare.port}/${file}?width=${width}&height=${height}&q=${quality}`,
        },
        darkroom: {
          pid: node.pid,
          url: ({ id }, { width, quality }) => `${node.url}/image/${id}/${width}w,q${quality}/x.jpg`,
        },
      } satisfies Record<Side, Server>
      await assertSameWork(servers, originals)
      const perRound = Math.ceil(requests / originals.length)
      const runs = await measureInTurn(SIDES, smoke ? 1 : ROUNDS, (side, round) =>
        cpuPerRequest(
          servers[side],
          originals.flatMap((original) => wantedOf(original, { round, count: perRound })),
        ),
      )
      const milliseconds = (side: Side) => median(runs.get(side) ?? []) * 1000
      figures.push(
        {
          name: `sharp's CPU of ours, ${label}`,
          value: milliseconds('sharp') / milliseconds('darkroom'),
          ...(wanted !== undefined && { wanted: `>= ${wanted}` }),
        },
        { name: '  sharp alone', value: milliseconds('sharp'), unit: 'ms' },
        { name: '  a miss', value: milliseconds('darkroom'), unit: 'ms' },
      )
      raw[name] = Object.fromEntries(runs)
    }
    return { figures, raw }
  } finally {
    await node.stop()
    await bare.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Leaves the images of that group, and no others, in the folder. */
async function copyImages(from: string, group: string, to: string): Promise<void> {
  for (const file of await readdir(to)) await rm(join(to, file))
  const files = (await readdir(from)).filter((file) => file.startsWith(group) && file.endsWith('.jpg'))
  const upright = files.filter((file) => !file.includes('orientation'))
  for (const file of upright) await cp(join(from, file), join(to, file))
}

async function uploadAll(url: string, folder: string): Promise<Photograph[]> {
  const originals: Photograph[] = []
  for (const file of await readdir(folder)) {
    const response = await upload(url, await readFile(join(folder, file)))
    assert.equal(response.status, 201)
    const { id, width, height } = jsonFields(await response.text())
    originals.push({ file, id: String(id), width: Number(width), height: Number(height) })
  }
  return originals
}

/** At most 400 px long, and nothing that another round asks for. */
function wantedOf(original: Photograph, { round, count }: { round: number; count: number }): [Photograph, Wanted][] {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(original.width, original.height))
  const width = Math.round(original.width * scale) - round
  const height = Math.round((original.height * width) / original.width)
  return Array.from({ length: count }, (_, at) => [original, { width, height, quality: FIRST_QUALITY + at }])
}

/** The same bytes from both; and both have rendered each original a few times. */
async function assertSameWork(
  servers: Readonly<Record<Side, Server>>,
  originals: readonly Photograph[],
): Promise<void> {
  for (const [original, wanted] of originals.flatMap((each) => wantedOf(each, { round: ROUNDS, count: 3 }))) {
    const expected = await fetchPicture(servers.sharp.url(original, wanted))
    const answer = await fetchPicture(servers.darkroom.url(original, wanted))
    assert.ok(expected.equals(answer), `${original.file}: the same bytes`)
  }
}

async function cpuPerRequest({ pid, url }: Server, requests: readonly [Photograph, Wanted][]): Promise<number> {
  const limit = pLimit(CLIENTS)
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })
  try {
    const before = await cpuSeconds(pid)
    await limit.map(requests, ([original, wanted]) => fetchPicture(url(original, wanted), agent))
    return ((await cpuSeconds(pid)) - before) / requests.length
  } finally {
    agent.destroy()
  }
}

function fetchPicture(url: string, agent?: Agent): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    get(url, { ...(agent && { agent }) }, (response) => {
      const { statusCode } = response
      if (statusCode === 200) buffer(response).then(resolve, reject)
      else reject(new Error(`${url} answered ${statusCode}`))
    }).on('error', reject)
  })
}
