import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { decoded, idOf, noisePicture, type Picture } from '../../tools/pictures/picture.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, newStore, startNodeFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'
import { plantOriginal, reticulumPath, sha1Of } from '../support/reticulum-folder.ts'

const IMPORT = fileURLToPath(new URL('../../scripts/import', import.meta.url))

interface Run {
  readonly code: number | null
  readonly out: string
  readonly problems: string
}

function start(args: readonly string[], env: Readonly<Record<string, string>>) {
  return spawn(IMPORT, args, { env, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Runs `scripts/import` to its end, with next to nothing in the environment. */
async function runImport(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  const child = start(args, env)
  const ended = once(child, 'close')
  const [out, problems] = await Promise.all([text(child.stdout), text(child.stderr)])
  await ended
  return { code: child.exitCode, out, problems }
}

/** An upload directory, a store and a cache, each a folder of its own. */
async function setUp(t: TestContext) {
  const folder = await temporaryFolder(t)
  const root = join(folder, 'upload-directory')
  await mkdir(root)
  const env = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache') }
  return { folder, root, env, stored: () => filesBelow(join(folder, 'data')), args: ['--reticulum', root] }
}

test("A Reticulum node's originals are taken over under both names, and what is no picture or damaged is told", async (t) => {
  const { env } = await newStore()
  const { root, folder, args } = await setUp(t)
  const both = { ...env, CACHE_DIR: join(folder, 'cache') }
  const good = [
    ['mountains.jpg', 'jpg', 1200],
    ['fig-alpha.png', 'png', 320],
    ['stream.webp', 'webp', 640],
  ] as const
  for (const [name, extension] of good) await plantOriginal(root, await fixture(name), extension)
  const half = (await fixture('dogs-grey.jpg')).subarray(0, 5000)
  const damaged = await plantOriginal(root, half, 'jpg', sha1Of(await fixture('dogs-grey.jpg')))
  const broken = await plantOriginal(root, half, 'jpg')
  const page = await plantOriginal(root, Buffer.from('<html>'), 'gif')
  // What lies about there and is none of its originals.
  await writeFile(join(root, 'full.jpg'), await fixture('fig-cmyk.jpg'))
  await mkdir(join(root, 'zz'))
  await mkdir(join(root, '00', '11'), { recursive: true })

  const dry = await runImport([...args, '--dry-run'], both)
  // The half of a picture has a good head: it is decoded when it is taken in.
  assert.match(dry.out, /^import: would import 4 \([\d.]+ KiB\), already there 0, refused 1, damaged 1, in [\d.]+ s\n$/)
  const first = await runImport(args, both)
  assert.equal(first.code, 3)
  assert.match(first.out, /^import: imported 3 \([\d.]+ KiB\), already there 0, refused 2, damaged 1, in [\d.]+ s\n$/)
  const lines = first.problems.split('\n').filter((line) => line !== '')
  assert.equal(lines.length, 3, first.problems)
  const complaintOf = (path: string) => lines.find((line) => line.startsWith(`import: ${path}: `)) ?? ''
  assert.match(complaintOf(damaged), new RegExp(`damaged: its bytes have the SHA-1 ${sha1Of(half)}$`))
  for (const path of [broken, page]) assert.notEqual(complaintOf(path), '')

  const { url, node } = await startSite(t, env)
  for (const [name, extension] of good) {
    const bytes = await fixture(name)
    const [id, sha1] = [idOf(bytes), sha1Of(bytes)]
    for (const path of [`/image/${id}/40w/a.${extension}`, `/image/${sha1}/40w/a.${extension}`]) {
      const response = await fetch(`${url}${path}`)
      assert.equal(response.url, `${url}/image/${id}/40w/a.${extension}`)
      assert.equal((await decoded(Buffer.from(await response.arrayBuffer()))).width, 40)
    }
    assert.equal((await fetch(`${url}/images/${sha1}/info`)).status, 200)
    const { body } = await rawRequest(node.url, `/images/${id}/original`, { headers: AUTHORIZATION })
    assert.deepEqual(body, bytes)
  }
  const absent = await rawRequest(url, `/image/${sha1Of(await fixture('dogs-grey.jpg'))}/40w`)
  assert.equal(absent.status, 404)

  // While the node runs: mended, and one deleted meanwhile that must not come back.
  await plantOriginal(root, await fixture('dogs-grey.jpg'), 'jpg')
  const gone = sha1Of(await fixture('stream.webp'))
  const deletion = { method: 'DELETE', headers: AUTHORIZATION }
  assert.equal((await rawRequest(url, `/images/${gone}`, deletion)).status, 204)
  const second = await runImport([...args, '--json', '--concurrency=3'], { ...both, UPLOAD_TOKENS: TOKEN })
  const { imported, alreadyThere, refused, damaged: rest } = jsonFields(second.out)
  assert.deepEqual([second.code, imported, alreadyThere, refused, rest], [3, 1, 3, 2, 0])
  // The node remembers for a second that there was none.
  const patience = performance.now() + 5000
  const mended = `${url}/image/${sha1Of(await fixture('dogs-grey.jpg'))}/40w`
  while ((await fetch(mended)).status !== 200) assert.ok(performance.now() < patience)
  assert.equal((await fetch(`${url}/image/${gone}/40w`)).status, 410)
})

test('Killed in the middle and run again, it goes on where it was; run once more, it does nothing', async (t) => {
  const { root, env, args, stored, folder } = await setUp(t)
  const pictures: Picture[] = []
  for (let seed = 1; seed <= 16; seed += 1) pictures.push(await noisePicture(seed))
  for (const { bytes } of pictures) await plantOriginal(root, bytes, 'png')
  const child = start([...args, '--concurrency', '1'], env)
  const ended = once(child, 'close')
  while ((await stored()).filter((file) => file.startsWith('aliases/')).length < 3) {
    assert.equal(child.exitCode, null)
    await new Promise(setImmediate)
  }
  child.kill('SIGKILL')
  await ended
  const before = (await stored()).filter((file) => file.startsWith('aliases/')).length
  assert.ok(before < pictures.length, 'it was killed in the middle')

  const again = await runImport([...args, '--json'], env)
  const { imported, alreadyThere } = jsonFields(again.out)
  assert.deepEqual([again.code, again.problems, imported, alreadyThere], [0, '', pictures.length - before, before])
  const files = await stored()
  const once_more = await runImport([...args, '--quiet'], env)
  assert.deepEqual(once_more, { code: 0, out: '', problems: '' })
  assert.deepEqual(await stored(), files)
  assert.deepEqual(
    (await filesBelow(join(folder, 'cache'))).filter((file) => /^(?:originals|renditions)/.test(file)),
    [],
  )

  const node = await startNodeFor(t, { env })
  for (const { bytes, id } of pictures) {
    const { status, headers } = await rawRequest(node.url, `/image/${sha1Of(bytes)}/30w/a.png`)
    assert.deepEqual([status, headers.location], [301, `/image/${id}/30w/a.png`])
    assert.equal((await rawRequest(node.url, `/images/${id}`)).status, 200)
  }
})

test('Told to stop it finishes what is under way and says that it was interrupted', async (t) => {
  const { root, env, args, stored } = await setUp(t)
  for (let seed = 1; seed <= 40; seed += 1) await plantOriginal(root, (await noisePicture(seed)).bytes, 'png')
  const child = start([...args, '--concurrency', '1'], env)
  const ended = once(child, 'close')
  const out = text(child.stdout)
  while (!(await stored()).some((file) => file.startsWith('aliases/'))) await new Promise(setImmediate)
  child.kill('SIGTERM')
  await ended
  assert.equal(child.exitCode, 1)
  assert.match(await out, /^import: interrupted, imported [1-9]\d* /)
  const files = await stored()
  const count = (kind: string) => files.filter((file) => file.startsWith(kind)).length
  assert.deepEqual([count('originals/'), count('records/')], [count('aliases/'), count('aliases/')])
})

test('Folders that lie on another disk behind a link, and upper case in a file name, are found', async (t) => {
  const { root, env, args, folder } = await setUp(t)
  const { bytes } = await noisePicture(7)
  const sha1 = sha1Of(bytes)
  const path = await plantOriginal(root, bytes, 'png')
  await rename(path, join(reticulumPath(root, sha1), 'full.PNG'))
  await rename(join(root, sha1.slice(0, 2)), join(folder, 'elsewhere'))
  await symlink(join(folder, 'elsewhere'), join(root, sha1.slice(0, 2)))
  await symlink(root, join(root, sha1.startsWith('00') ? '01' : '00'))
  const { code, out } = await runImport(args, env)
  assert.equal(code, 0)
  assert.match(out, /^import: imported 1 /)
})

test('All that is wrong with options and settings is said, and nothing is done', async (t) => {
  const { root, env, folder } = await setUp(t)
  const help = await runImport(['--help'])
  assert.equal(help.code, 0)
  for (const flag of ['--reticulum', '--concurrency', '--dry-run', '--json', '--quiet'])
    assert.ok(help.out.includes(flag))
  const full = await temporaryFolder(t)
  await writeFile(join(full, 'mine.txt'), 'no cache')
  const cases = [
    [[], {}, [/name one source: .*--reticulum folder/]],
    [['--reticulum=', '--concurrency', '65', '--fast', 'x'], {}, [/--reticulum: requires/, /"65"/, /--fast: unknown/]],
    [['--reticulum', join(folder, 'nothing')], {}, [/the folder .*nothing does not exist/]],
    [['--reticulum', root], {}, [/is not an UploadDirectory of Reticulum/]],
    [['--reticulum', root], { STORE: 'nowhere', MAX_PIXELS: 'many' }, [/STORE: should be/, /MAX_PIXELS/]],
    [['--reticulum', root], { CACHE_DIR: full }, [/CACHE_DIR: /]],
  ] as const
  await Promise.all(
    cases.map(async ([args, more, complaints]) => {
      const { code, out, problems } = await runImport(args, { ...env, ...more })
      assert.deepEqual([code, out], [2, ''], problems)
      for (const complaint of complaints) assert.match(problems, complaint)
    }),
  )
})
