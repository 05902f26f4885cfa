import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { DamagedFileError, UnavailableError } from '../../../../src/errors.ts'
import { createImportService, type ImportServiceOptions } from '../../../../src/service/library/import-service.ts'
import type { ImportFile, UnreadablePlace } from '../../../../src/service/ports/originals.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, idOf, never } from '../../../support/service-stage.ts'

const [ONE, TWO, BROKEN] = [original({ padding: '1' }), original({ padding: '2' }), original({ broken: true })]
const TEXT = Buffer.from('no picture')

function sha1Of(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex')
}

/** An import of these files into the stage's store, and what it complained of. A text is of a file that cannot be read. */
function setUp(contents: readonly (Buffer | string)[], options: Partial<ImportServiceOptions> = {}) {
  const stage = createStage()
  const problems: string[] = []
  const pauses: number[] = []
  const found = contents.map((content, index): ImportFile => {
    if (typeof content !== 'string') stage.disk.files.set(`/${index}`, content)
    return { path: `/${index}`, sha1: sha1Of(Buffer.from(content)) }
  })
  const importer = createImportService({
    source: {
      async *files() {
        yield* found
      },
      open({ path }) {
        const bytes = stage.disk.files.get(path)
        if (bytes !== undefined) return Readable.from([bytes])
        return new Readable().destroy(new DamagedFileError('cannot be read'))
      },
    },
    ingest: stage.ingest,
    aliases: stage.aliases,
    engine: stage.engine,
    concurrency: 2,
    dryRun: false,
    maxUploadBytes: 100_000,
    onProblem: (path, problem) => void problems.push(`${path}: ${problem}`),
    pause: async (ms) => void pauses.push(ms),
    ...options,
  })
  return { stage, importer, problems, pauses }
}

test('What is a whole picture is taken in under both names, and of the rest it is said why not', async () => {
  const { stage, importer, problems } = setUp([ONE, TEXT, 'damaged', TWO, BROKEN, Buffer.alloc(1001)])
  const { seconds, ...report } = await importer.run(never)
  assert.ok(seconds >= 0)
  assert.deepEqual(report, {
    dryRun: false,
    stopped: false,
    found: 6,
    imported: 2,
    importedBytes: ONE.length + TWO.length,
    alreadyThere: 0,
    refused: 3,
    damaged: 1,
  })
  assert.deepEqual(problems.toSorted(), ['/1: No picture', '/2: cannot be read', '/4: Broken', '/5: Too large'])
  for (const bytes of [ONE, TWO]) {
    assert.equal(await stage.aliases.find(sha1Of(bytes), never), idOf(bytes))
    assert.equal((await stage.records.record(idOf(bytes), never)).bytes, bytes.length)
  }
})

test('What has an alias is not looked at again, be it deleted since', async () => {
  const { stage, importer } = setUp([ONE, TWO])
  await stage.upload(ONE)
  await stage.aliases.add(sha1Of(ONE), idOf(ONE), never)
  await stage.deletions.remove(idOf(ONE), never)
  const { imported, alreadyThere } = await importer.run(never)
  assert.deepEqual([imported, alreadyThere], [1, 1])
  await assert.rejects(stage.records.record(idOf(ONE), never), { code: 'original_deleted' })
})

test('What was uploaded already gets its alias, and is not written again', async () => {
  const { stage, importer } = setUp([ONE])
  await stage.upload(ONE)
  await stage.infos.stop()
  stage.asked.length = 0
  assert.equal((await importer.run(never)).imported, 1)
  assert.deepEqual(
    stage.asked.filter((call) => call.startsWith('put')).map((call) => call.split('/')[0]),
    ['put aliases'],
  )
})

test('A dry run reads and checks everything, and writes nothing', async () => {
  const { stage, importer, problems } = setUp([ONE, TEXT, 'damaged', TWO], { dryRun: true })
  const { imported, importedBytes, refused, damaged, dryRun } = await importer.run(never)
  assert.deepEqual([imported, importedBytes, refused, damaged, dryRun], [2, ONE.length + TWO.length, 1, 1, true])
  assert.equal(problems.length, 2)
  assert.deepEqual([...stage.objects.keys()], [])
})

test('A place that cannot be looked at is told, and the rest goes on', async () => {
  const files = async function* (): AsyncIterable<ImportFile | UnreadablePlace> {
    yield { path: '/ab', problem: 'cannot be read (EACCES)' }
  }
  const { importer, problems } = setUp([], { source: { files, open: () => Readable.from([]) } })
  const { found, damaged } = await importer.run(never)
  assert.deepEqual([found, damaged, problems], [0, 1, ['/ab: cannot be read (EACCES)']])
})

test('A store that is away for a moment is asked again, with growing pauses', async () => {
  const stage = createStage()
  let failures = 3
  const { importer, pauses } = setUp([ONE], {
    ingest: {
      ingest(body, details, signal) {
        if (failures === 0) return stage.ingest.ingest(body, details, signal)
        failures -= 1
        body.destroy()
        return Promise.reject(new UnavailableError('store_unavailable', 'Away'))
      },
    },
  })
  assert.equal((await importer.run(never)).imported, 1)
  assert.deepEqual(pauses, [1000, 2000, 4000])
})

test('A store that stays away ends the import, when what is under way has ended', async () => {
  let begun = 0
  const { importer, pauses } = setUp([ONE, TWO, TEXT, BROKEN], {
    concurrency: 1,
    ingest: {
      async ingest(body) {
        begun += 1
        body.destroy()
        throw new UnavailableError('store_unavailable', 'Away')
      },
    },
  })
  await assert.rejects(importer.run(never), { code: 'store_unavailable' })
  assert.deepEqual([begun, pauses.length], [5, 4])
  assert.deepEqual([importer.progress().found, importer.progress().stopped], [1, true])
})

test('A picture that takes the decoder too long is refused, and tried once', async () => {
  const { importer, pauses } = setUp([ONE], {
    ingest: {
      async ingest(body) {
        body.destroy()
        throw new UnavailableError('timed_out', 'Too slow')
      },
    },
  })
  assert.equal((await importer.run(never)).refused, 1)
  assert.deepEqual(pauses, [])
})

test('No more than so many are under way at once, and a stop lets them end', async () => {
  const contents = Array.from({ length: 20 }, (_, index) => original({ padding: String(index) }))
  const stage = createStage()
  let underWay = 0
  let most = 0
  const { importer } = setUp(contents, {
    concurrency: 3,
    ingest: {
      async ingest(body, details, signal) {
        underWay += 1
        most = Math.max(most, underWay)
        await new Promise(setImmediate)
        underWay -= 1
        if (importer.progress().imported === 6) importer.stop()
        return await stage.ingest.ingest(body, details, signal)
      },
    },
  })
  const { stopped, found, imported } = await importer.run(never)
  assert.deepEqual([stopped, most], [true, 3])
  assert.equal(imported, found)
  assert.ok(found < 12, String(found))
})
