import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import sharp from 'sharp'
import {
  createRendererPool,
  type RendererPool,
  type RendererPoolOptions,
} from '../../src/adapters/renderer/renderer-pool.ts'
import { createRendererSlot } from '../../src/adapters/renderer/renderer-slot.ts'
import type { OriginalFacts } from '../../src/domain/picture/original-facts.ts'
import { type Plan, planTransform } from '../../src/domain/picture/transform-plan.ts'
import type { OutputFormat } from '../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import { decoded, noisePicture } from '../../tools/pictures/picture.ts'
import { rendererPids, untilGone } from '../../tools/processes/renderers.ts'
import { filesBelow } from '../../tools/requests/ask.ts'

const ENGINE = {
  inputFormats: ['jpeg', 'png'],
  maxPixels: 1_000_000,
  maxFrames: 10,
  timeoutSeconds: 20,
  keepCopyright: false,
} as const

interface Stage {
  readonly pool: RendererPool
  readonly folder: string
  /** What was told to the operator. */
  readonly troubles: string[]
  pids(): Promise<readonly number[]>
}

async function createStage(t: TestContext, options: Partial<RendererPoolOptions> = {}): Promise<Stage> {
  const troubles: string[] = []
  const meter = { trouble: (message: string, cause: unknown) => troubles.push(`${message}: ${String(cause)}`) }
  const pool = createRendererPool({ slots: 1, engine: ENGINE, meter, ...options })
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-renderers-'))
  t.after(async () => {
    await pool.stop()
    await rm(folder, { recursive: true, force: true })
  })
  await pool.ready()
  return { pool, folder, troubles, pids: () => rendererPids(process.pid) }
}

function plans(facts: OriginalFacts, ...wanted: readonly (readonly [string, OutputFormat])[]): Plan[] {
  return wanted.map(([spec, format]) => planTransform(parseSpec(spec), facts, format, 8192))
}

async function sizes(made: readonly Promise<Buffer>[]): Promise<(readonly [string, number])[]> {
  const pictures = await Promise.all(made)
  return await Promise.all(
    pictures.map(async (bytes) => {
      const { format, width } = await decoded(bytes)
      return [format, width] as const
    }),
  )
}

/**
 * A source that holds up whoever reads it: a pipe into which nobody writes. `reading` resolves when a renderer has opened
 * it; `replace` puts a file in its place, so that the next attempt goes well.
 */
async function createSnare(t: TestContext, folder: string) {
  const path = join(folder, 'snare')
  await promisify(execFile)('mkfifo', [path])
  return {
    source: { path },
    async reading(): Promise<void> {
      const writer = await open(path, 'w')
      t.after(() => writer.close())
    },
    async replace(bytes: Buffer): Promise<void> {
      await writeFile(join(folder, 'sound'), bytes)
      await rename(join(folder, 'sound'), path)
    },
  }
}

async function kill(stage: Stage, signal: NodeJS.Signals = 'SIGSEGV'): Promise<void> {
  const pids = await stage.pids()
  const told = stage.troubles.length
  for (const pid of pids) process.kill(pid, signal)
  while (stage.troubles.length === told) await delay(5)
}

test('Does all that an engine does, from a path and from bytes', async (t) => {
  const { pool, folder } = await createStage(t, { slots: 2 })
  const { bytes } = await noisePicture(1, 200, 100)
  const path = join(folder, 'original')
  await writeFile(path, bytes)
  for (const source of [{ path }, { bytes }]) {
    const facts = await pool.inspect(source)
    assert.deepEqual(facts.stored, { width: 200, height: 100 })
    await pool.verify(source, facts)
    const made = pool.render(source, plans(facts, ['100w', 'jpg'], ['50w', 'webp'], ['20w', 'avif']))
    assert.deepEqual(await sizes(made), [
      ['jpeg', 100],
      ['webp', 50],
      ['avif', 20],
    ])
    const { picture } = await pool.measure(source, facts)
    assert.deepEqual(picture.stored, { width: 200, height: 100 })
    assert.match(picture.perceptualHash, /^[0-9a-f]{16}$/)
  }
  assert.deepEqual(pool.render({ bytes }, []), [])
  const { crashes, timeouts, replaced, residentBytes } = pool.counters
  assert.deepEqual({ crashes, timeouts, replaced }, { crashes: 0, timeouts: 0, replaced: 0 })
  assert.ok(residentBytes > 2e7)
})

test('More tasks than renderers wait for their turn', async (t) => {
  const { pool } = await createStage(t, { slots: 2 })
  const { bytes } = await noisePicture(2, 100, 100)
  const facts = await pool.inspect({ bytes })
  const made = Array.from({ length: 12 }, (_, at) => pool.render({ bytes }, plans(facts, [`${at + 10}w`, 'jpg'])))
  const widths = (await sizes(made.flat())).map(([, width]) => width)
  assert.deepEqual(
    widths,
    Array.from({ length: 12 }, (_, at) => at + 10),
  )
})

test('What is expected to fail keeps its class and code on its way', async (t) => {
  const { pool, folder } = await createStage(t)
  const { bytes } = await noisePicture(3, 400, 300)
  const unsupported = { name: 'OriginalError', code: 'original_unsupported' }
  await assert.rejects(pool.inspect({ bytes: Buffer.from('no image at all') }), unsupported)
  const large = await noisePicture(4, 1200, 1000)
  await assert.rejects(pool.inspect({ bytes: large.bytes }), { name: 'OriginalError', code: 'original_too_large' })
  const lost = { path: join(folder, 'lost') }
  await assert.rejects(pool.inspect(lost), { name: 'UnavailableError', code: 'disk_unavailable' })
  const facts = await pool.inspect({ bytes })
  const cut = { bytes: bytes.subarray(0, bytes.length / 2) }
  await assert.rejects(pool.verify(cut, facts), { name: 'OriginalError', code: 'original_broken' })
  const [made] = pool.render(cut, plans(facts, ['100w', 'jpg']))
  await assert.rejects(made ?? Promise.resolve(), { name: 'OriginalError', code: 'original_broken' })
  assert.equal(pool.counters.crashes, 0)
})

test('A renderer that crashes in the middle of a task costs a retry, and nobody hears of it but the operator', async (t) => {
  const stage = await createStage(t)
  const { bytes } = await noisePicture(5, 100, 100)
  const { source, reading, replace } = await createSnare(t, stage.folder)
  const facts = stage.pool.inspect(source)
  await reading()
  await replace(bytes)
  await kill(stage)
  assert.deepEqual((await facts).stored, { width: 100, height: 100 })
  assert.equal(stage.pool.counters.crashes, 1)
  assert.match(stage.troubles.join(), /A renderer exited.*SIGSEGV/)
})

test('After a crash each plan of a task is made alone', async (t) => {
  const stage = await createStage(t, { slots: 2 })
  const { bytes } = await noisePicture(6, 100, 100)
  const facts = await stage.pool.inspect({ bytes })
  const { source, reading, replace } = await createSnare(t, stage.folder)
  const made = stage.pool.render(source, plans(facts, ['90w', 'jpg'], ['80w', 'png'], ['70w', 'webp']))
  await reading()
  await replace(bytes)
  await kill(stage)
  assert.deepEqual(await sizes(made), [
    ['jpeg', 90],
    ['png', 80],
    ['webp', 70],
  ])
})

test('What crashes alone twice is refused from then on, while others are served', async (t) => {
  const stage = await createStage(t)
  const { bytes } = await noisePicture(7, 100, 100)
  const facts = await stage.pool.inspect({ bytes })
  const { source, reading, replace } = await createSnare(t, stage.folder)
  const crashing = { name: 'OriginalError', code: 'original_broken', message: /crash/ }
  const verified = assert.rejects(stage.pool.verify(source, facts), crashing)
  for (const _ of [1, 2]) {
    await reading()
    await kill(stage)
  }
  await verified
  assert.match(stage.troubles.join(), /crashed the decoder twice/)
  await replace(bytes)
  await assert.rejects(stage.pool.inspect(source), crashing)
  const [refused] = stage.pool.render(source, plans(facts, ['50w', 'jpg']))
  await assert.rejects(refused ?? Promise.resolve(), crashing)
  assert.deepEqual(await sizes(stage.pool.render({ bytes }, plans(facts, ['50w', 'jpg']))), [['jpeg', 50]])
  assert.equal(stage.pool.counters.crashes, 2)
})

test('The refusal of an image ends', async (t) => {
  const stage = await createStage(t, { refuseMs: 1 })
  const { bytes } = await noisePicture(8, 100, 100)
  const facts = await stage.pool.inspect({ bytes })
  const { source, reading, replace } = await createSnare(t, stage.folder)
  const verified = assert.rejects(stage.pool.verify(source, facts), { code: 'original_broken' })
  for (const _ of [1, 2]) {
    await reading()
    await kill(stage)
  }
  await verified
  await replace(bytes)
  await delay(2)
  await stage.pool.verify(source, facts)
})

test('A task that takes too long is ended by force, and the next one is served', async (t) => {
  const stage = await createStage(t, { taskTimeoutMs: 500 })
  const { bytes } = await noisePicture(9, 100, 100)
  const { source } = await createSnare(t, stage.folder)
  await assert.rejects(stage.pool.inspect(source), { name: 'UnavailableError', code: 'overloaded' })
  const facts = await stage.pool.inspect({ bytes })
  assert.equal(facts.format, 'png')
  const { crashes, timeouts } = stage.pool.counters
  assert.deepEqual({ crashes, timeouts }, { crashes: 0, timeouts: 1 })
  await assert.rejects(stage.pool.verify(source, facts), { name: 'UnavailableError', code: 'timed_out' })
  const drawing = stage.pool.verify(source, { ...facts, format: 'svg' })
  await assert.rejects(
    drawing,
    { name: 'OriginalError', code: 'original_too_large' },
    'that a drawing takes long is its fault',
  )
})

test('A renderer that dies with nothing to do is followed by another', async (t) => {
  const stage = await createStage(t, { slots: 2 })
  const before = await stage.pids()
  assert.equal(before.length, 2)
  await kill(stage, 'SIGKILL')
  const { bytes } = await noisePicture(10, 100, 100)
  assert.equal((await stage.pool.inspect({ bytes })).format, 'png')
  assert.ok((await stage.pids()).every((pid) => !before.includes(pid)))
})

test('A renderer whose memory stays up is replaced, between tasks', async (t) => {
  const stage = await createStage(t, { maxResidentBytes: 1 })
  const { bytes } = await noisePicture(11, 100, 100)
  const [before] = await stage.pids()
  await stage.pool.inspect({ bytes })
  assert.deepEqual(await stage.pids(), [before])
  const facts = await stage.pool.inspect({ bytes })
  assert.deepEqual(await sizes(stage.pool.render({ bytes }, plans(facts, ['50w', 'jpg']))), [['jpeg', 50]])
  const [after] = await stage.pids()
  assert.notEqual(after, before)
  const { crashes, replaced } = stage.pool.counters
  assert.deepEqual({ crashes, replaced }, { crashes: 0, replaced: 1 })
  assert.deepEqual(stage.troubles, [])
})

test('A renderer whose memory stays up is replaced when it has had nothing to do for a while', async (t) => {
  const stage = await createStage(t, { maxIdleBytes: 1, idleMs: 200 })
  const { bytes } = await noisePicture(11, 100, 100)
  const [before] = await stage.pids()
  const facts = await stage.pool.inspect({ bytes })
  // As long as there is something to do it stays.
  const until = performance.now() + 500
  while (performance.now() < until) await stage.pool.inspect({ bytes })
  assert.deepEqual(await stage.pids(), [before])
  while (stage.pool.counters.replaced === 0) await delay(5)
  assert.deepEqual(await sizes(stage.pool.render({ bytes }, plans(facts, ['50w', 'jpg']))), [['jpeg', 50]])
  const [after] = await stage.pids()
  assert.notEqual(after, before)
  assert.deepEqual(stage.troubles, [])
})

test('A renderer that holds little is not replaced, however long it has nothing to do', async (t) => {
  const stage = await createStage(t, { maxIdleBytes: 2 ** 30, idleMs: 1 })
  const { bytes } = await noisePicture(11, 100, 100)
  const [before] = await stage.pids()
  await stage.pool.inspect({ bytes })
  await delay(100)
  await stage.pool.inspect({ bytes })
  assert.deepEqual(await stage.pids(), [before])
})

test('While no renderer can be started, callers are told so in time, and served when one can', async (t) => {
  const stage = await createStage(t, { outageMs: 200 })
  const { bytes } = await noisePicture(12, 100, 100)
  const ending = new AbortController()
  const killer = (async () => {
    while (!ending.signal.aborted) {
      for (const pid of await stage.pids()) process.kill(pid, 'SIGKILL')
      await delay(5)
    }
  })()
  while (stage.pool.counters.crashes === 0) await delay(5)
  const overloaded = { name: 'UnavailableError', code: 'overloaded' }
  await assert.rejects(stage.pool.inspect({ bytes }), overloaded)
  await assert.rejects(stage.pool.inspect({ bytes }), overloaded)
  ending.abort()
  await killer
  for (;;) {
    const facts = await stage.pool.inspect({ bytes }).catch(() => undefined)
    if (facts) break
    await delay(20)
  }
})

test('Stopping ends renderers in the middle of their tasks', async (t) => {
  const stage = await createStage(t, { slots: 2 })
  const { source, reading } = await createSnare(t, stage.folder)
  const inspected = assert.rejects(stage.pool.inspect(source), { name: 'UnavailableError', code: 'overloaded' })
  await reading()
  const pids = await stage.pids()
  assert.equal(pids.length, 2)
  await stage.pool.stop()
  await inspected
  await untilGone(pids)
  await assert.rejects(stage.pool.inspect(source), { name: 'UnavailableError', code: 'overloaded' })
  assert.deepEqual(stage.troubles, [])
})

test('Stopping ends a renderer that has just said that it is there, and none follows it', async () => {
  const gone: string[] = []
  const slot = createRendererSlot({
    engine: ENGINE,
    maxResidentBytes: 2 ** 30,
    maxIdleBytes: 2 ** 30,
    idleMs: 1000,
    taskTimeoutMs: () => 5000,
    startTimeoutMs: 20_000,
    onReady() {},
    onGone: (end) => void gone.push(end),
  })
  // Nothing is heard of it meanwhile: it is stopped before its message is read.
  spawnSync('sleep', ['2'])
  await slot.stop()
  assert.deepEqual([slot.state, gone], ['stopped', []])
})

test('A renderer sees nothing of the environment of its node', async (t) => {
  process.env['RENDERER_TEST_SECRET'] = 'hidden'
  t.after(() => delete process.env['RENDERER_TEST_SECRET'])
  const stage = await createStage(t)
  const [pid] = await stage.pids()
  const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0')
  const names = environment.map((line) => line.replace(/=.*/, '')).filter((name) => name !== '')
  assert.ok(!names.includes('RENDERER_TEST_SECRET'))
  assert.ok(!names.includes('PATH'))
})

test('Renderers end with their node, however it ends', async (t) => {
  const owner = fileURLToPath(new URL('../support/renderer-owner.ts', import.meta.url))
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const node = spawn(process.execPath, [owner], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => node.kill('SIGKILL'))
    await once(node.stdout, 'data')
    const pids = await rendererPids(node.pid ?? 0)
    assert.equal(pids.length, 2)
    node.kill(signal)
    await untilGone(pids)
  }
})

test('A signal to the whole group leaves the renderers to their node', async (t) => {
  const stage = await createStage(t)
  const { bytes } = await noisePicture(13, 100, 100)
  const before = await stage.pids()
  for (const pid of before) {
    process.kill(pid, 'SIGTERM')
    process.kill(pid, 'SIGINT')
  }
  await stage.pool.inspect({ bytes })
  assert.deepEqual(await stage.pids(), before)
})

test('Compiled code is kept for the next renderer; a folder that cannot be had costs nothing but time', async (t) => {
  const { folder } = await createStage(t)
  const codeFolder = join(folder, 'code')
  const { pool, pids, troubles } = await createStage(t, { codeFolder })
  const files = await filesBelow(codeFolder)
  assert.ok(files.length > 10)
  const environment = await readFile(`/proc/${(await pids()).at(-1)}/environ`, 'utf8')
  assert.ok(environment.includes(`NODE_COMPILE_CACHE=${codeFolder}`))
  const { bytes } = await noisePicture(60)
  await pool.inspect({ bytes })
  await createStage(t, { codeFolder })
  assert.deepEqual((await filesBelow(codeFolder)).toSorted(), files.toSorted(), 'the second start adds nothing')

  const noFolder = join(folder, 'file')
  await writeFile(noFolder, '')
  const other = await createStage(t, { codeFolder: noFolder })
  assert.equal((await other.pool.inspect({ bytes })).format, 'png')
  assert.deepEqual([...troubles, ...other.troubles], [])
})

test('What takes more memory than there is gets a refusal with the reason, alone, and before any pixel is decoded', async (t) => {
  const { pool } = await createStage(t, { memoryBytes: 1_000_000 })
  const { bytes } = await noisePicture(70, 400, 300)
  const interlaced = await sharp(bytes).png({ progressive: true }).toBuffer()
  const tooLarge = { name: 'OriginalError', code: 'original_too_large' }
  const large = await sharp(bytes).resize(900, 900, { fit: 'fill' }).png({ progressive: true }).toBuffer()
  const facts = await pool.inspect({ bytes: large })
  assert.ok((facts.decodingBytes ?? 0) > 1_000_000)
  await assert.rejects(pool.verify({ bytes: large }, facts), {
    ...tooLarge,
    message: /requires 4\.9 MiB of memory; the limit is \S+ KiB \(RENDER_MEMORY_BYTES\)$/,
  })
  const ofSmall = await pool.inspect({ bytes: interlaced })
  const [avif, jpg] = pool.render({ bytes: interlaced }, plans(ofSmall, ['full', 'avif'], ['100w', 'jpg']))
  await assert.rejects(avif ?? Promise.resolve(), { ...tooLarge, message: /the limit is 977 KiB/ })
  assert.deepEqual(await sizes(jpg ? [jpg] : []), [['jpeg', 100]])
})

test('Tasks that take much memory together wait for each other, and all are done', async (t) => {
  const { pool } = await createStage(t, { slots: 2, memoryBytes: 2_000_000 })
  const { bytes } = await noisePicture(71, 400, 300)
  const facts = await pool.inspect({ bytes: await sharp(bytes).png({ progressive: true }).toBuffer() })
  const heavy = { ...facts, decodingBytes: 1_500_000 }
  const made = [100, 90, 80, 70].map((width) => pool.render({ bytes }, plans(heavy, [`${width}w`, 'jpg'])))
  const widths = (await sizes(made.flat())).map(([, width]) => width)
  assert.deepEqual(widths, [100, 90, 80, 70])
})
