import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createRendererPool, type RendererPool } from '../../src/adapters/renderer/renderer-pool.ts'
import { planTransform } from '../../src/domain/picture/transform-plan.ts'
import { INPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import { OriginalError } from '../../src/errors.ts'
import { BOMBS, type BombFate } from '../../tools/pictures/bombs.ts'
import { residentBytes } from '../../tools/processes/process-use.ts'
import { rendererPids } from '../../tools/processes/renderers.ts'

const MIB = 2 ** 20
/** What renders may take, and what a renderer takes beside it. */
const MEMORY_BYTES = 200e6
const REST_BYTES = 150 * MIB
/** Reading a header takes next to nothing. */
const HEADER_BYTES = 24 * MIB

async function startPool(t: TestContext): Promise<RendererPool> {
  const engine = { inputFormats: INPUT_FORMATS, maxPixels: 100_000_000, maxFrames: 500, timeoutSeconds: 20 }
  const troubles: string[] = []
  const meter = { trouble: (message: string) => void troubles.push(message) }
  const pool = createRendererPool({ slots: 1, engine, meter, memoryBytes: MEMORY_BYTES, maxResidentBytes: 2 * 2 ** 30 })
  t.after(() => pool.stop())
  await pool.ready()
  return pool
}

async function peakBytes(): Promise<number> {
  const [pid] = await rendererPids(process.pid)
  return pid === undefined ? Number.NaN : (await residentBytes(pid)).peak
}

/** An upload, and a view of what is taken. */
async function take(pool: RendererPool, bytes: Buffer): Promise<void> {
  const facts = await pool.inspect({ bytes })
  await pool.verify({ bytes }, facts)
  for (const part of pool.render({ bytes }, [planTransform(parseSpec('100w'), facts, 'jpg', 8192)])) await part
}

const REFUSED = {
  refused: /^original_(?:too_large|broken)$/,
  broken: /^original_(?:too_large|broken)$/,
  unread: /^original_unsupported$/,
  bounded: /^original_(?:too_large|broken|unsupported)$/,
} as const satisfies Record<BombFate, RegExp>

/** Some seconds of CPU each: `npm run fuzz -- --cgroup` tries them. */
const SLOW =
  /uses of uses|thousand filters|JPEG of (?:65,500|10,000)|16,384 pixels|16,383|1,000 scans|WebP of 20,000|490 frames/

test('What is small and would be very large is refused by its header, or made within bounds', async (t) => {
  const pool = await startPool(t)
  let before = await peakBytes()
  const quick = BOMBS.filter(({ name }) => !SLOW.test(name))
  // Those that may cost something come last: a peak never falls.
  for (const { name, fate, make } of quick.toSorted(
    (one, other) => Number(one.fate === 'bounded') - Number(other.fate === 'bounded'),
  )) {
    const bytes = await make()
    const outcome = await take(pool, bytes).catch((error: unknown) => error)
    if (outcome !== undefined || fate !== 'bounded') {
      assert.ok(outcome instanceof OriginalError, `${name}: ${String(outcome)}`)
      assert.match(outcome.code, REFUSED[fate], name)
    }
    const after = await peakBytes()
    if (fate === 'bounded') assert.ok(after < MEMORY_BYTES + REST_BYTES, `${name} took ${after}`)
    else assert.ok(after - before < HEADER_BYTES, `${name} took ${after - before} more`)
    before = after
  }
  const { crashes, timeouts } = pool.counters
  assert.deepEqual({ crashes, timeouts }, { crashes: 0, timeouts: 0 })
})
