import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import sharp from 'sharp'
import { CACHE_FOLDERS, originalFile, renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { cpuSeconds } from '../processes/process-use.ts'
import type { Scope } from '../processes/scope.ts'
import { createKeptConnection, type KeptConnection } from '../requests/kept-connection.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { backgroundIsDone, type Darkroom, upload } from '../servers/darkroom.ts'
import { type Site, startNodeFor, startSite, temporaryFolder } from '../servers/site.ts'
import { type Trace, usedBytes } from './trace.ts'

const CLIENTS = 8
/** The sizes of an original, px, each in another order, so that no width is more popular than the others. */
const WIDTHS = [32, 48, 64, 96, 128, 160, 192, 224, 256, 288, 320] as const
/** Detail of the photographs: standard deviation of their noise. */
const DETAILS = [4, 8, 12, 18, 25, 35, 50, 70] as const
const SIZE = { width: 320, height: 240 } as const
const SAMPLE_MS = 1000
const WRITTEN_WITHIN_MS = 60_000

export interface NodeReplayOptions {
  /** Size of the cache as a share of the bytes of all requested files. */
  readonly share: number
  /** The trace is replayed within this time, or later if the machine is too slow. */
  readonly durationMs: number
}

export interface NodeReplay {
  /** The trace as it was replayed: with the times of the requests, and the disk usage of the node's files. */
  readonly trace: Trace
  readonly capacityBytes: number
  /** By request: 1 if it caused no render. A render takes no time in the simulation, so one that joined it is a hit there. */
  readonly isHit: Uint8Array
  /** Answered by nginx alone. */
  readonly directHits: number
  /** Joined a render under way. */
  readonly coalesced: number
  /** `darkroom_cache_bytes`, once a second. */
  readonly usedBytes: readonly number[]
  readonly evictedFiles: number
  readonly cpuSeconds: number
  readonly seconds: number
}

/**
 * Replays a trace on a node behind its nginx, with its own sweeps. The pictures are small, so that most of the time is not spent on
 * rendering.
 */
export async function replayOnNode(scope: Scope, trace: Trace, options: NodeReplayOptions): Promise<NodeReplay> {
  const store = join(await temporaryFolder(scope), 'data')
  const env = { STORE: `file:${store}`, LOG_LEVEL: 'warn' }
  const first = await startNodeFor(scope, { env })
  const ids = await uploadAll(first, originalsOf(trace))
  const paths = pathsOf(trace, ids)
  const bytes = await measureFiles(first, { trace, ids })
  await first.stop()
  const totalBytes = usedBytes({ bytes, source: trace.source }, trace.objects)
  const capacityBytes = Math.round(totalBytes * options.share)
  const site = await startSite(scope, { ...env, CACHE_MAX_BYTES: String(capacityBytes) })
  const replayed = await replayAll(site, { trace, paths, durationMs: options.durationMs })
  return { ...replayed, trace: { ...trace, bytes, totalBytes, times: replayed.times }, capacityBytes }
}

/** The sources of a trace, each the last object of its original. */
function originalsOf({ source }: Trace): readonly number[] {
  return Array.from(source.keys()).filter((object) => source[object] === object)
}

async function uploadAll(node: Darkroom, sources: readonly number[]): Promise<readonly string[]> {
  const photographs = await Promise.all(DETAILS.map(noise))
  const ids = await pLimit(CLIENTS).map(sources, async (source, original) => {
    // A copy with a number at its end has another id, and the same pixels.
    const copy = Buffer.concat([photographs[original % DETAILS.length] ?? Buffer.alloc(0), Buffer.from(`${source}`)])
    const response = await upload(node.url, copy)
    const text = await response.text()
    assert.equal(response.status, 201, text)
    return String(jsonFields(text)['id'])
  })
  await backgroundIsDone(node)
  return ids
}

function noise(sigma: number): Promise<Buffer> {
  const create = { ...SIZE, channels: 3, background: 'grey', noise: { type: 'gaussian', mean: 128, sigma } } as const
  return sharp({ create }).jpeg({ quality: 90 }).toBuffer()
}

/** By object: the path of a rendition; empty for a source. */
function pathsOf(trace: Trace, ids: readonly string[]): readonly string[] {
  const paths: string[] = []
  for (const [original, last] of originalsOf(trace).entries()) {
    for (let size = 0; paths.length < last; size += 1) {
      paths.push(`/image/${ids[original]}/${widthOf(original, size)}w/x.jpg`)
    }
    paths.push('')
  }
  return paths
}

function widthOf(original: number, size: number): number {
  return WIDTHS[(original * 5 + size) % WIDTHS.length] ?? 0
}

/** Disk usage of each object. Photographs of the same detail have files of the same sizes. */
async function measureFiles(
  node: Darkroom,
  { trace, ids }: { readonly trace: Trace; readonly ids: readonly string[] },
): Promise<Float64Array> {
  const usage = new Map<string, number>()
  for (const detail of DETAILS.keys()) {
    const id = ids[detail % ids.length] ?? ''
    for (const width of WIDTHS) assert.equal((await fetch(`${node.url}/image/${id}/${width}w.jpg`)).status, 200)
    for (const width of WIDTHS) {
      const file = join(node.cacheDir, CACHE_FOLDERS.renditions, renditionFolder(id), `${width}w.jpg`)
      usage.set(`${detail} ${width}`, await diskUsage(file))
    }
    usage.set(`${detail}`, await diskUsage(join(node.cacheDir, CACHE_FOLDERS.originals, originalFile(id))))
  }
  const bytes = new Float64Array(trace.source.length)
  let begin = 0
  for (const [original, last] of originalsOf(trace).entries()) {
    const detail = original % DETAILS.length
    for (let object = begin; object < last; object += 1) {
      bytes[object] = usage.get(`${detail} ${widthOf(original, object - begin)}`) ?? 0
    }
    bytes[last] = usage.get(`${detail}`) ?? 0
    begin = last + 1
  }
  return bytes
}

/** Disk usage of a file, which the node writes after its answer. */
async function diskUsage(file: string): Promise<number> {
  const deadline = performance.now() + WRITTEN_WITHIN_MS
  for (;;) {
    const stats = await stat(file).catch(() => undefined)
    if (stats) return stats.blocks * 512
    assert.ok(performance.now() < deadline, `${file} was not written`)
    await delay(50)
  }
}

interface Plan {
  readonly trace: Trace
  readonly paths: readonly string[]
  readonly durationMs: number
}

async function replayAll({ node, nginx }: Site, { trace, paths, durationMs }: Plan) {
  const { objects } = trace
  const times = new Float64Array(objects.length)
  const isHit = new Uint8Array(objects.length)
  const pace = durationMs / (trace.times.at(-1) ?? 1)
  const began = performance.now()
  const cpuBefore = (await cpuSeconds(node.pid)) + (await cpuSeconds(nginx.pid))
  let next = 0
  let directHits = 0
  let coalesced = 0

  const client = async (connection: KeptConnection): Promise<void> => {
    while (next < objects.length) {
      const request = next
      next += 1
      const waitMs = (trace.times[request] ?? 0) * pace - (performance.now() - began)
      if (waitMs > 1) await delay(waitMs)
      times[request] = performance.now() - began
      const { status, headers } = await connection.get(paths[objects[request] ?? 0] ?? '')
      assert.equal(status, 200)
      const timing = headers.get('server-timing') ?? ''
      if (timing.includes('"nginx"')) directHits += 1
      if (timing.includes('"coalesced"')) coalesced += 1
      if (!timing.includes('"miss"')) isHit[request] = 1
    }
  }
  const connections = Array.from({ length: CLIENTS }, () => createKeptConnection(nginx.port))
  const sampling = sampleBytes(node, () => next < objects.length)
  await Promise.all(connections.map(client))
  for (const connection of connections) connection.close()
  const used = (await cpuSeconds(node.pid)) + (await cpuSeconds(nginx.pid)) - cpuBefore
  const seconds = (performance.now() - began) / 1000
  const evictedFiles = await node.metric('darkroom_cache_evicted_files_total')
  return { times, isHit, directHits, coalesced, usedBytes: await sampling, evictedFiles, cpuSeconds: used, seconds }
}

async function sampleBytes(node: Darkroom, goesOn: () => boolean): Promise<readonly number[]> {
  const samples: number[] = []
  while (goesOn()) {
    samples.push(await node.metric('darkroom_cache_bytes'))
    await delay(SAMPLE_MS)
  }
  return samples
}
