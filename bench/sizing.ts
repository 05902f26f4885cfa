import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { cpuSecondsAtRest, proportionalBytes } from '../tools/processes/process-use.ts'
import { inScope, type Scope } from '../tools/processes/scope.ts'
import { jsonFields } from '../tools/requests/raw-request.ts'
import { backgroundIsDone, type Darkroom, fixture, upload } from '../tools/servers/darkroom.ts'
import { type FaultProxy, startFaultProxy } from '../tools/servers/fault-proxy.ts'
import { newStore, startNodeFor } from '../tools/servers/site.ts'
import type { BenchOptions, BenchReport, Figure } from './measure.ts'

const PHOTOGRAPHS = 7
const UPLOADS = 70
const CLIENTS = 8
const WIDTHS = [400, 800, 160] as const

interface Phase {
  readonly perSecond: number
  /** Of the node and its renderers, with their work in the background. */
  readonly cpuMilliseconds: number
  /** Requests to the store, by method, for one. */
  readonly storeRequests: ReadonlyMap<string, number>
  readonly responseBytes: number
}

/**
 * What docs/sizing.md calculates with: uploads of 12 MP photographs with an S3 store, first views of them on another node in three sizes,
 * and the requests to the store that each causes.
 */
export async function benchSizing({ smoke, imagesDir }: BenchOptions): Promise<BenchReport> {
  return await inScope(async (scope) => {
    const count = smoke ? 4 : UPLOADS
    const names = Array.from({ length: PHOTOGRAPHS }, (_, index) => join(imagesDir, `12mp-${index + 1}.jpg`))
    const photographs = smoke
      ? [await fixture('mountains.jpg')]
      : await Promise.all(names.map((name) => readFile(name)))
    const { endpoint, env } = await newStore()
    const proxy = await startFaultProxy({ target: endpoint })
    scope.after(proxy.stop)
    const start = () => startNodeFor(scope, { env: { ...env, S3_ENDPOINT: proxy.endpoint, LOG_LEVEL: 'warn' } })
    const first = await start()
    const ids: string[] = []
    const uploads = await measure({ node: first, proxy, count }, async (index) => {
      const photograph = photographs[index % photographs.length] ?? Buffer.alloc(0)
      const response = await upload(first.url, Buffer.concat([photograph, Buffer.from(`a copy ${index}`)]))
      const text = await response.text()
      assert.equal(response.status, 201, text)
      ids.push(String(jsonFields(text)['id']))
      return photograph.length
    })
    return await report(scope, { uploads, ids, start, proxy, idle: await proportionalBytes(first.pid) })
  })
}

interface Uploaded {
  readonly uploads: Phase
  readonly ids: readonly string[]
  readonly start: () => Promise<Darkroom>
  readonly proxy: FaultProxy
  readonly idle: number
}

async function report(scope: Scope, { uploads, ids, start, proxy, idle }: Uploaded): Promise<BenchReport> {
  const node = await start()
  scope.after(node.stop)
  const views = new Map<number, Phase>()
  for (const width of WIDTHS) {
    const view = async (index: number) => {
      const response = await fetch(`${node.url}/image/${ids[index]}/${width}w.webp`)
      assert.equal(response.status, 200)
      return (await response.arrayBuffer()).byteLength
    }
    views.set(width, await measure({ node, proxy, count: ids.length }, view))
  }
  const bytes = proportionalBytes(node.pid)
  const figures = [
    ...figuresOf('upload of 12 MP', uploads),
    ...Array.from(views, ([width, phase]) => figuresOf(`first view, ${width} px`, phase)).flat(),
    { name: 'memory of the uploading node', value: idle / 2 ** 20, unit: 'MiB' },
    { name: 'memory of the viewing node', value: (await bytes) / 2 ** 20, unit: 'MiB' },
    { name: 'cache for an image', value: (await node.metric('darkroom_cache_bytes')) / ids.length / 1000, unit: 'kB' },
  ]
  return { figures, raw: { uploads, views: Object.fromEntries(views) } }
}

interface Work {
  readonly node: Darkroom
  readonly proxy: FaultProxy
  readonly count: number
}

/** @param task Returns bytes. */
async function measure({ node, proxy, count }: Work, task: (index: number) => Promise<number>): Promise<Phase> {
  const before = { cpu: await cpuSecondsAtRest(node.pid), requests: proxy.requests.length }
  const began = performance.now()
  const sizes = await pLimit(CLIENTS).map([...Array(count).keys()], task)
  const seconds = (performance.now() - began) / 1000
  await backgroundIsDone(node)
  const cpu = (await cpuSecondsAtRest(node.pid)) - before.cpu
  const storeRequests = new Map<string, number>()
  for (const request of proxy.requests.slice(before.requests)) {
    // The poll for deletions is not part of the work.
    const method = request.includes('list-type=2') ? 'LIST' : (request.split(' ')[0] ?? '')
    storeRequests.set(method, (storeRequests.get(method) ?? 0) + 1 / count)
  }
  return {
    perSecond: count / seconds,
    cpuMilliseconds: (cpu / count) * 1000,
    storeRequests,
    responseBytes: sizes.reduce((sum, size) => sum + size, 0) / count,
  }
}

function figuresOf(
  name: string,
  { perSecond, cpuMilliseconds, storeRequests, responseBytes }: Phase,
): readonly Figure[] {
  return [
    { name, value: perSecond, unit: 'per second' },
    { name: '  CPU for one', value: cpuMilliseconds, unit: 'ms' },
    { name: '  bytes of one', value: responseBytes / 1000, unit: 'kB' },
    ...Array.from(storeRequests, ([method, value]) => ({ name: `  ${method} to the store for one`, value })),
  ]
}
