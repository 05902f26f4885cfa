import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { UploadAnswer } from '../../../../src/domain/intake/upload-outcome.ts'
import { createFileMemory } from '../../../../src/service/intake/file-memory.ts'
import { createIntakeService } from '../../../../src/service/intake/intake-service.ts'
import { interleave } from '../../../../src/service/intake/interleave.ts'
import { runIntake } from '../../../../src/service/intake/run-intake.ts'
import { createTakeFile } from '../../../../src/service/intake/take-file.ts'
import type { FileUpload, RejectedUpload, SpoolFile } from '../../../../src/service/ports/intake.ts'

const SIGNAL = new AbortController().signal

function fileOf(path: string, more: Partial<SpoolFile> = {}): SpoolFile {
  return { path, version: '1', sizeBytes: path.length, modifiedMs: 0, arrivedMs: 50_000, isCommitted: true, ...more }
}

/** A spool folder, a node and a quarantine in memory, with a clock of their own. */
function stage(
  files: readonly SpoolFile[],
  answer: (file: FileUpload) => UploadAnswer | Promise<UploadAnswer>,
  answerReport: () => UploadAnswer = () => ({ status: 202 }),
) {
  const spool = new Map(files.map((file) => [file.path, file]))
  const state = {
    now: 100_000,
    uploads: new Array<FileUpload>(),
    rejected: new Array<string>(),
    reports: new Array<RejectedUpload>(),
    quarantine: new Array<string>(),
  }
  const now = () => state.now
  const memory = createFileMemory({ settleMs: 2000, now })
  const folder = {
    sources: async () => [...new Set([...spool.keys()].map((path) => path.split('/')[0] ?? ''))],
    async *files(source: string) {
      for (const file of spool.values()) if (file.path.startsWith(source)) yield file
    },
    open: async ({ path }: SpoolFile) => Readable.from([path]),
    async remove(file: SpoolFile) {
      if (spool.get(file.path)?.version !== file.version) return false
      return spool.delete(file.path)
    },
    watch: () => ({ stop() {} }),
  }
  const takeFile = createTakeFile<SpoolFile>({
    spool: folder,
    quarantine: {
      async put(file) {
        state.quarantine.push(file.path)
        spool.delete(file.path)
        return 'kept'
      },
    },
    uploads: {
      async upload(file) {
        await text(file.body)
        state.uploads.push(file)
        return await answer(file)
      },
      async reportRejected(file) {
        state.reports.push(file)
        return answerReport()
      },
    },
    memory,
    rules: new Map([['a', { labels: ['news'], maxBytes: 100 }]]),
    otherwise: { labels: [] },
    patienceMs: 60_000,
    onRejected: (path, { code }) => state.rejected.push(`${path} ${code}`),
    now,
  })
  const intake = createIntakeService<SpoolFile>({
    spool: folder,
    quarantine: { sweep: async () => {} },
    takeFile,
    memory,
    concurrency: 2,
    onTrouble: (path) => state.rejected.push(`${path} trouble`),
    now,
  })
  return { spool, folder, intake, state }
}

test('Sources take turns, so that one with many files does not delay another', async () => {
  const source = (name: string, count: number) =>
    (async function* () {
      for (let index = 1; index <= count; index += 1) yield `${name}${index}`
    })()
  const values: string[] = []
  for await (const value of interleave([source('a', 4), source('b', 1), source('c', 2)])) values.push(value)
  assert.deepEqual(values, ['a1', 'b1', 'c1', 'a2', 'c2', 'a3', 'a4'])
})

test('A stored file is removed; name, source and labels go with it', async () => {
  const { spool, intake, state } = stage([fileOf('a/x/1.jpg'), fileOf('b/2.jpg')], () => ({ status: 201 }))
  const left = await intake.pass(SIGNAL)
  assert.deepEqual([left.files, spool.size], [0, 0])
  assert.deepEqual(
    state.uploads.map(({ name, source, labels }) => [name, source, labels]),
    [
      ['1.jpg', 'a', ['news']],
      ['2.jpg', 'b', []],
    ],
  )
  assert.deepEqual(intake.counts(), { stored: 2, storedBytes: 16, rejected: 0 })
})

test('A file that changes during its upload stays, and is taken again', async () => {
  const { spool, intake, state } = stage([fileOf('b/1.jpg')], () => {
    if (state.uploads.length === 1) spool.set('b/1.jpg', fileOf('b/1.jpg', { version: '2' }))
    return { status: 201 }
  })
  assert.equal((await intake.pass(SIGNAL)).nextLookMs, 0)
  assert.equal(spool.size, 1)
  assert.equal((await intake.pass(SIGNAL)).files, 0)
})

test('A node that takes nothing ends the pass; the file that found out waits for the others', async () => {
  const files = ['b/1.jpg', 'b/2.jpg', 'b/3.jpg', 'b/4.jpg'].map((path) => fileOf(path))
  let isAway = true
  const { spool, intake, state } = stage(files, () =>
    isAway ? { status: 503, retryAfterSeconds: 3 } : { status: 201 },
  )
  const left = await intake.pass(SIGNAL)
  assert.equal(left.unavailable?.retryAfterSeconds, 3)
  assert.ok(state.uploads.length <= 2)
  assert.equal(spool.size, 4)
  isAway = false
  await intake.pass(SIGNAL)
  assert.equal(spool.size, state.uploads.length - 2)
  state.now += 5000
  assert.equal((await intake.pass(SIGNAL)).files, 0)
  assert.deepEqual(state.quarantine, [])
})

test('A file that the node fails with is tried three times, and holds up no other', async () => {
  const files = ['b/1.jpg', 'b/2.jpg', 'b/3.jpg'].map((path) => fileOf(path))
  const { intake, state } = stage(files, ({ name }) => ({ status: name === '1.jpg' ? 504 : 201, message: 'too slow' }))
  assert.equal((await intake.pass(SIGNAL)).files, 1)
  assert.equal((await intake.pass(SIGNAL)).files, 1)
  assert.equal(state.uploads.length, 3)
  for (let pass = 0; pass < 2; pass += 1) {
    state.now += 5000
    await intake.pass(SIGNAL)
  }
  assert.deepEqual(state.rejected, ['b/1.jpg failed'])
})

test('A broken file whose writer may have paused is rejected only after a minute without a change', async () => {
  const file = fileOf('b/1.jpg', { isCommitted: false, modifiedMs: 100_000 })
  const { intake, state } = stage([file], () => ({ status: 422, error: 'original_broken' }))
  assert.equal((await intake.pass(SIGNAL)).nextLookMs, 2000)
  state.now += 2000
  assert.equal((await intake.pass(SIGNAL)).nextLookMs, 58_000)
  assert.deepEqual(state.rejected, [])
  state.now += 58_000
  await intake.pass(SIGNAL)
  assert.deepEqual(state.rejected, ['b/1.jpg original_broken'])
})

test('Empty files and those above the limit of their source are rejected without an upload', async () => {
  const files = [fileOf('b/empty.jpg', { sizeBytes: 0 }), fileOf('a/large.jpg', { sizeBytes: 101 })]
  const { intake, state } = stage(files, () => ({ status: 201 }))
  await intake.pass(SIGNAL)
  assert.deepEqual(state.rejected.toSorted(), ['a/large.jpg original_too_large', 'b/empty.jpg invalid_upload'])
  assert.deepEqual(state.uploads, [])
})

test('A file moves to the quarantine only after the node has taken the report of it', async () => {
  const answers = [{ status: 503 }, { status: 405 }, { status: 202 }]
  const { spool, intake, state } = stage(
    [fileOf('a/x/1.jpg')],
    () => ({ status: 422, error: 'original_broken', message: 'Cut' }),
    () => answers.shift() ?? { status: 500 },
  )
  assert.match((await intake.pass(SIGNAL)).unavailable?.message ?? '', /^the node answered 503/)
  state.now += 30_000
  assert.equal((await intake.pass(SIGNAL)).unavailable, undefined, 'another method: no fault of the node')
  assert.deepEqual([state.rejected, state.quarantine, spool.size], [['a/x/1.jpg trouble'], [], 1])
  state.now += 30_000
  await intake.pass(SIGNAL)
  assert.deepEqual([state.rejected.at(-1), state.quarantine], ['a/x/1.jpg original_broken', ['a/x/1.jpg']])
  assert.equal(state.reports.length, 3)
  const [report] = state.reports
  assert.deepEqual(report, {
    path: 'a/x/1.jpg',
    source: 'a',
    labels: ['news'],
    sizeBytes: 9,
    code: 'original_broken',
    message: 'Cut',
    arrivedMs: 50_000,
    rejectedMs: 100_000,
  })
})

test('While the node is away the pauses grow, and respect Retry-After', async () => {
  const { folder, intake } = stage([], () => ({ status: 201 }))
  const pauses: number[] = []
  const stopping = new AbortController()
  await runIntake(
    {
      intake: { ...intake, pass: async () => awayFor(pauses.length === 2 ? 60 : 0) },
      spool: folder,
      scanMs: 10_000,
      once: false,
      onPass: () => {},
      onTrouble: (error) => assert.ifError(error),
      async pause(ms) {
        if (ms !== 20) pauses.push(ms)
        if (pauses.length === 9) stopping.abort()
      },
      random: () => 1,
    },
    stopping.signal,
  )
  assert.deepEqual(pauses, [500, 1000, 62_000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
})

function awayFor(retryAfterSeconds: number) {
  const unavailable = { kind: 'unavailable', message: 'away', retryAfterSeconds } as const
  return { files: 1, bytes: 1, oldestMs: 0, nextLookMs: 0, unavailable }
}
