import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { access, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { newStore, temporaryFolder } from '../../tools/servers/site.ts'

const IMPORT = fileURLToPath(new URL('../../scripts/import', import.meta.url))
const GOOD = ['mountains.jpg', 'fig-alpha.png', 'stream.webp', 'dandelion.gif'] as const

function start(args: readonly string[], env: Readonly<Record<string, string>>) {
  const child = spawn(IMPORT, [...args, '--json'], { env, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
  const end = async () => {
    const ended = once(child, 'close')
    const [out, problems] = await Promise.all([text(child.stdout), text(child.stderr)])
    await ended
    return { code: child.exitCode, problems, report: out === '' ? {} : jsonFields(out) }
  }
  return { child, end: end() }
}

async function setUp(t: TestContext) {
  const folder = await temporaryFolder(t)
  const source = join(folder, 'pictures')
  await mkdir(join(source, 'a/b'), { recursive: true })
  const env = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache') }
  return { folder, source, env }
}

test('A folder is imported with names and labels; a second run finds everything there', async (t) => {
  const { folder, source, env } = await setUp(t)
  for (const name of GOOD)
    await cp(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)), join(source, 'a/b', name))
  await writeFile(join(source, 'cut.png'), (await fixture('fig-alpha.png')).subarray(0, -4))
  await writeFile(join(source, 'readme.txt'), 'no picture')
  await writeFile(join(source, '.hidden'), 'hidden')
  const first = await start([source, '--labels', 'archive+2019'], env).end
  assert.equal(first.code, 3)
  assert.match(first.problems, /cut\.png: The file is incomplete: the end of the PNG \(IEND\) is missing/)
  assert.match(first.problems, /readme\.txt: /)
  const { found, imported, refused } = first.report
  assert.deepEqual([found, imported, refused], [6, 4, 2])
  const records = await filesBelow(join(folder, 'data/records'))
  const all = await Promise.all(
    records.map(async (name) => jsonFields(await readFile(join(folder, 'data/records', name), 'utf8'))),
  )
  assert.deepEqual(all.map(({ name }) => String(name)).toSorted(), GOOD.toSorted())
  for (const { labels } of all) assert.deepEqual(labels, ['archive', '2019'])
  const second = await start([source], env).end
  assert.deepEqual([second.report['imported'], second.report['alreadyThere']], [0, 4])
})

test('The objects below a prefix of a bucket are imported into the store of another', async (t) => {
  const { folder } = await setUp(t)
  const [from, to] = [await newStore(), await newStore()]
  const bucket = createS3Store(from.settings)
  t.after(() => bucket.close())
  const signal = AbortSignal.timeout(60_000)
  for (const name of GOOD) {
    const bytes = await fixture(name)
    for (const key of [`archive/${name}`, `other/${name}`]) {
      await bucket.put(
        key,
        { bytes },
        { contentType: 'image/jpeg', sizeBytes: bytes.length, md5: createHash('md5').update(bytes).digest('hex') },
        signal,
      )
    }
  }
  const env = { ...to.env, CACHE_DIR: join(folder, 'cache') }
  const { code, report, problems } = await start([`s3://${from.settings.bucket}/archive/`], env).end
  assert.equal(code, 0, problems)
  assert.deepEqual([report['found'], report['imported']], [4, 4])
})

test('An interrupted import continues after the files that are done', async (t) => {
  const { folder, source, env } = await setUp(t)
  const files = 60
  for (let index = 0; index < files; index += 1) {
    const { bytes } = await noisePicture(index, 400, 300)
    await writeFile(join(source, `${String(index).padStart(3, '0')}.png`), bytes)
  }
  const state = join(folder, 'state.json')
  const first = start([source, '--concurrency', '1', '--state', state], env)
  const records = async () => (await filesBelow(join(folder, 'data/records'))).length
  const deadline = performance.now() + 60_000
  while ((await records()) < 5 && performance.now() < deadline) await delay(10)
  first.child.kill('SIGTERM')
  const { code, report } = await first.end
  assert.equal(code, 1)
  assert.equal(report['stopped'], true)
  const done = await records()
  assert.ok(done >= 5 && done < files, String(done))
  const second = await start([source, '--state', state], env).end
  assert.equal(second.code, 0, second.problems)
  assert.deepEqual([second.report['found'], second.report['imported']], [files - done, files - done])
  // The next run looks at everything again.
  await assert.rejects(access(state))
})

test('Sources are told apart, and mistakes are named', async (t) => {
  const { folder, source, env } = await setUp(t)
  const state = join(folder, 'state.json')
  await writeFile(state, '{"source":"/elsewhere","after":"z"}')
  const cases = [
    [[], /name one source: a folder, s3:\/\/bucket\/prefix, or reticulum:folder/],
    [[source, source], /name one source/],
    [['s3://'], /"s3:\/\/" should be s3:\/\/bucket or s3:\/\/bucket\/prefix/],
    [[join(folder, 'missing')], /the folder \S+missing does not exist/],
    [[`reticulum:${source}`], /is not an UploadDirectory of Reticulum/],
    [[source], /contains no files/],
    [[source, '--labels', 'Big'], /--labels: "Big" should be/],
    [[source, '--state', state], /--state: \S+ is not the state of an import of/],
  ] as const
  for (const [args, message] of cases) {
    const { code, problems } = await start(args, env).end
    assert.equal(code, 2, problems)
    assert.match(problems, message)
  }
})
