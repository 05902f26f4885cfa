import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setInterval } from 'node:timers/promises'
import pLimit from 'p-limit'
import { residentBytes } from '../tools/processes/process-use.ts'
import { fixture, startDarkroom, upload } from '../tools/servers/darkroom.ts'
import { type BenchOptions, type BenchReport } from './measure.ts'

const MIB = 1024 * 1024
const UPLOADS = 100
const CLIENTS = 8
const FILE_BYTES = 40 * 1000 * 1000
const WANTED_MIB = 100
const SAMPLE_MS = 100

/**
 * Resident memory of a node that takes in 100 photographs of 40 MB, 8 at a time. Each is a JPEG of 24 megapixels, filled up
 * behind its end and no two alike; the node decodes each to its end, and stores it.
 */
export async function benchUploads({ smoke, imagesDir }: BenchOptions): Promise<BenchReport> {
  const photograph = smoke ? await fixture('mountains.jpg') : await readFile(join(imagesDir, '24mp-1.jpg'))
  const padding = randomBytes((smoke ? MIB : FILE_BYTES) - photograph.length)
  const node = await startDarkroom({ env: { LOG_LEVEL: 'warn' } })
  try {
    const before = (await residentBytes(node.pid)).now
    const sampling = new AbortController()
    const samples = sample(node.pid, sampling.signal)
    const limit = pLimit(CLIENTS)
    await limit.map([...Array(smoke ? CLIENTS : UPLOADS).keys()], async (number) => {
      const response = await upload(node.url, Buffer.concat([photograph, Buffer.from(`${number} `), padding]))
      assert.equal(response.status, 201)
      await response.body?.cancel()
    })
    sampling.abort()
    const { now: after, peak } = await residentBytes(node.pid)
    const figures = [
      { name: 'memory before', value: before / MIB, unit: 'MiB' },
      { name: 'at its most', value: peak / MIB, unit: 'MiB' },
      { name: 'after', value: after / MIB, unit: 'MiB' },
      { name: 'grows by', value: (after - before) / MIB, unit: 'MiB', wanted: `< ${WANTED_MIB}` },
    ]
    return { figures, raw: { before, peak, after, samples: await samples } }
  } finally {
    await node.stop()
  }
}

async function sample(pid: number, signal: AbortSignal): Promise<number[]> {
  const samples: number[] = []
  for await (const _ of setInterval(SAMPLE_MS)) {
    if (signal.aborted) break
    samples.push((await residentBytes(pid)).now)
  }
  return samples
}
