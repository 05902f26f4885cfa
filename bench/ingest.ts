import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { distinctCopy } from '../tools/pictures/distinct-copy.ts'
import { cpuSecondsAtRest, proportionalBytes } from '../tools/processes/process-use.ts'
import { inScope } from '../tools/processes/scope.ts'
import { backgroundIsDone, type Darkroom, fixture, upload } from '../tools/servers/darkroom.ts'
import { newStore, startNodeFor } from '../tools/servers/site.ts'
import type { BenchOptions, BenchReport, Figure } from './measure.ts'

const SIZES = [
  { name: '2 MP', prefix: '2mp', photographs: 6, uploads: 3000 },
  { name: '12 MP', prefix: '12mp', photographs: 7, uploads: 300 },
] as const
const CLIENTS = 8
/** Memory is compared between the ends of these parts of a run. */
const PARTS = 10
const IMAGES_PER_DAY = 5_000_000
const SECONDS_PER_DAY = 86_400
const PEAK = 3
/** Of the cores, at the peak. */
const UTILIZATION = 0.6
const MB = 1e6

interface Ingest {
  readonly name: string
  readonly count: number
  readonly seconds: number
  /** Of the node and its renderers, until mezzanines and info are stored. */
  readonly cpuSeconds: number
  readonly bytes: number
  /** Of the same processes, after each part. */
  readonly memory: readonly number[]
}

/** Sustained uploads to a node with an S3 store: full decoding, original, record, event, mezzanines and info. */
export async function benchIngest({ smoke, imagesDir }: BenchOptions): Promise<BenchReport> {
  const runs: Ingest[] = []
  for (const { name, prefix, photographs, uploads } of SIZES) {
    const paths = Array.from({ length: photographs }, (_, index) => join(imagesDir, `${prefix}-${index + 1}.jpg`))
    const files = smoke ? [await fixture('mountains.jpg')] : await Promise.all(paths.map((path) => readFile(path)))
    runs.push(await measure({ name, files, count: smoke ? PARTS : uploads }))
  }
  return { figures: runs.flatMap(figuresOf), notes: runs.map(noteOf), raw: runs }
}

interface Work {
  readonly name: string
  readonly files: readonly Buffer[]
  readonly count: number
}

async function measure({ name, files, count }: Work): Promise<Ingest> {
  return await inScope(async (scope) => {
    const { env } = await newStore()
    const node = await startNodeFor(scope, { env: { ...env, LOG_LEVEL: 'warn' } })
    // Starts renderers and connections.
    for (const number of files.keys()) await uploadCopy(node, { files, number, text: `first ${number}` })
    await backgroundIsDone(node)
    const before = await cpuSecondsAtRest(node.pid)
    const began = performance.now()
    const memory = [await proportionalBytes(node.pid)]
    const sizes: number[] = []
    for (let part = 0; part < PARTS; part += 1) {
      const numbers = Array.from({ length: count / PARTS }, (_, index) => part * (count / PARTS) + index)
      sizes.push(
        ...(await pLimit(CLIENTS).map(numbers, (number) =>
          uploadCopy(node, { files, number, text: `copy ${number}` }),
        )),
      )
      memory.push(await proportionalBytes(node.pid))
    }
    await backgroundIsDone(node)
    const seconds = (performance.now() - began) / 1000
    const cpuSeconds = (await cpuSecondsAtRest(node.pid)) - before
    return { name, count, seconds, cpuSeconds, bytes: sizes.reduce((sum, size) => sum + size, 0), memory }
  })
}

interface Copy {
  readonly files: readonly Buffer[]
  readonly number: number
  readonly text: string
}

/** @returns bytes. */
async function uploadCopy({ url }: Darkroom, { files, number, text }: Copy): Promise<number> {
  const bytes = distinctCopy(files[number % files.length] ?? Buffer.alloc(0), text)
  const response = await upload(url, bytes)
  assert.equal(response.status, 201, await response.text())
  return bytes.length
}

function figuresOf({ name, count, seconds, cpuSeconds, bytes, memory }: Ingest): readonly Figure[] {
  return [
    { name: `${name}: images per second and core`, value: count / cpuSeconds, unit: '/s' },
    { name: '  bytes per second and core', value: bytes / MB / cpuSeconds, unit: 'MB/s' },
    { name: '  CPU for one', value: (cpuSeconds / count) * 1000, unit: 'ms' },
    { name: '  images per second, as measured', value: count / seconds, unit: '/s' },
    { name: '  memory after the first half', value: (memory[PARTS / 2] ?? 0) / 2 ** 20, unit: 'MiB' },
    { name: '  it grows in the second half by', value: growth(memory) / 2 ** 20, unit: 'MiB', wanted: '< 30' },
  ]
}

/** From the middle to the end of a run, by the least squares. */
function growth(memory: readonly number[]): number {
  const half = memory.slice(PARTS / 2)
  const middle = (half.length - 1) / 2
  const mean = half.reduce((sum, each) => sum + each, 0) / half.length
  const products = half.reduce((sum, each, at) => sum + (at - middle) * (each - mean), 0)
  const squares = half.reduce((sum, _, at) => sum + (at - middle) ** 2, 0)
  return (products / squares) * (half.length - 1)
}

function noteOf({ name, count, cpuSeconds, bytes }: Ingest): string {
  const perSecond = IMAGES_PER_DAY / SECONDS_PER_DAY
  const average = perSecond * (cpuSeconds / count)
  const megabitsAtPeak = (perSecond * PEAK * (bytes / count) * 8) / MB
  return (
    `${IMAGES_PER_DAY / 1e6} million images of ${name} a day: ${average.toFixed(1)} cores on average, ` +
    `${((average * PEAK) / UTILIZATION).toFixed(0)} for ${PEAK} times the average at ${UTILIZATION * 100} % use; ` +
    `${((IMAGES_PER_DAY * bytes) / count / 1e12).toFixed(1)} TB a day, ${megabitsAtPeak.toFixed(0)} Mbit/s at the peak`
  )
}
