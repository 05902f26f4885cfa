import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rename, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { idOf } from '../../tools/pictures/picture.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import { mountSmallDisk } from '../../tools/processes/small-disk.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { ingestOnce, startIntake } from '../../tools/servers/intake.ts'
import { AUTHORIZATION, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

const WITHIN_MS = 60_000

/** What takes files at once. */
const RENAMED = { args: ['--renamed'] } as const

/** Puts a file into a folder as programs should: written aside, renamed. */
async function put(folder: string, name: string, bytes: Buffer): Promise<void> {
  await mkdir(folder, { recursive: true })
  const aside = join(folder, `.${name}.aside`)
  await writeFile(aside, bytes)
  await rename(aside, join(folder, name))
}

async function until(isTrue: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + WITHIN_MS
  while (!(await isTrue())) {
    assert.ok(performance.now() < deadline, `not within ${WITHIN_MS} ms: ${what}`)
    await delay(20)
  }
}

const shown = async (folder: string) => (await readdir(folder)).filter((name) => !name.startsWith('.'))

async function isStored(url: string, bytes: Buffer): Promise<boolean> {
  return (await fetch(`${url}/images/${idOf(bytes)}`)).ok
}

async function setUp(t: TestContext) {
  const spool = join(await temporaryFolder(t), 'spool')
  await mkdir(spool)
  const node = await startNodeFor(t)
  return { spool, node, url: node.url }
}

test('Complete files are stored and removed; others are in the quarantine with the reason', async (t) => {
  const { spool, url } = await setUp(t)
  const good = ['mountains.jpg', 'fig-alpha.png', 'dandelion.gif', 'stream.webp', 'stream.avif'] as const
  for (const name of good) await put(join(spool, 'agency', 'deep'), name, await fixture(name))
  await put(spool, 'dogs.jpg', await fixture('dogs-grey.jpg'))
  const png = await fixture('fig-alpha.png')
  await put(join(spool, 'camera'), 'cut.png', png.subarray(0, -4))
  await put(join(spool, 'camera'), 'cut.jpg', (await fixture('mountains.jpg')).subarray(0, 20_000))
  await put(join(spool, 'camera'), 'page.jpg', Buffer.from('<html></html>'))
  await put(join(spool, 'camera'), 'empty.jpg', Buffer.alloc(0))
  await writeFile(join(spool, 'camera', '.in.later.jpg.4711'), 'unfinished')
  const end = await ingestOnce({ spool, url, ...RENAMED })
  assert.equal(end.code, 3, end.problems)
  const rejected = end.lines.flatMap(({ rejected: file, error }) =>
    error === undefined ? [] : [file, error].join(' '),
  )
  assert.deepEqual(
    rejected.toSorted((a, b) => a.localeCompare(b)),
    [
      'camera/cut.jpg original_broken',
      'camera/cut.png original_broken',
      'camera/empty.jpg invalid_upload',
      'camera/page.jpg original_unsupported',
    ],
  )
  for (const name of good) assert.ok(await isStored(url, await fixture(name)), name)
  assert.ok(await isStored(url, await fixture('dogs-grey.jpg')))
  assert.deepEqual(await readdir(join(spool, 'camera')), ['.in.later.jpg.4711'])
  const kept = await readdir(join(spool, '.quarantine', 'camera'))
  assert.equal(kept.length, 8)
  const reason = kept.find((name) => name.endsWith('cut.png.json')) ?? ''
  const { file, source, error, message } = jsonFields(
    await readFile(join(spool, '.quarantine', 'camera', reason), 'utf8'),
  )
  assert.deepEqual([file, source, error], ['camera/cut.png', 'camera', 'original_broken'])
  assert.match(String(message), /IEND/)
  assert.deepEqual(
    await readFile(join(spool, '.quarantine', 'camera', reason.slice(0, -'.json'.length))),
    png.subarray(0, -4),
  )
  const reported = (await rejections(url)).find(({ subject }) => subject === 'camera/cut.png')?.data
  const { arrivedAt, version, ...told } = reported ?? {}
  assert.equal(version, Date.parse(String(arrivedAt)))
  const reasonGiven = { error: 'original_broken', message }
  assert.deepEqual(told, { name: 'cut.png', source: 'camera', labels: [], bytes: png.length - 4, ...reasonGiven })
  assert.equal((await rejections(url)).length, 4)
})

interface ReportedRejection {
  readonly id: unknown
  readonly subject: unknown
  readonly data: Readonly<Record<string, unknown>>
}

/** The events `image.rejected` of the feed. */
async function rejections(url: string): Promise<readonly ReportedRejection[]> {
  const text = await (await fetch(`${url}/events?wait=0`, { headers: AUTHORIZATION })).text()
  const events = text
    .split('\n')
    .filter((line) => line !== '')
    .map(jsonFields)
  return events.flatMap(({ type, id, subject, data }) =>
    type === 'image.rejected' ? [{ id, subject, data: jsonFields(JSON.stringify(data)) }] : [],
  )
}

test('A rejection whose report is not answered is reported again with the same id, also after kill -9', async (t) => {
  const { spool, url } = await setUp(t)
  const front = await startFaultProxy({ target: url })
  t.after(front.stop)
  await put(join(spool, 'camera'), 'page.jpg', Buffer.from('<html></html>'))
  await front.setFault({ kind: 'lose-answer', matching: { method: /^POST$/, path: /^\/events$/ } })
  const intake = startIntake(t, { spool, url: front.endpoint, ...RENAMED })
  await until(async () => (await rejections(url)).length > 0, 'the event')
  await intake.end('SIGKILL')
  assert.deepEqual(await readdir(join(spool, 'camera')), ['page.jpg'], 'not in the quarantine without an answer')
  await front.setFault(undefined)
  assert.equal((await ingestOnce({ spool, url: front.endpoint, ...RENAMED })).code, 3)
  const events = await rejections(url)
  assert.equal(new Set(events.map(({ id }) => id)).size, 1)
  assert.equal((await readdir(join(spool, '.quarantine', 'camera'))).length, 2)
})

test('Over HTTP a PNG without its end is stored as before, unless the upload demands the end', async (t) => {
  const { url } = await setUp(t)
  const bytes = new Uint8Array((await fixture('fig-alpha.png')).subarray(0, -4))
  const send = (query: string) =>
    fetch(`${url}/images${query}`, {
      method: 'POST',
      headers: { 'Content-Type': 'image/png', ...AUTHORIZATION },
      body: bytes,
    })
  const refused = await send('?complete=true')
  assert.equal(refused.status, 422)
  assert.deepEqual(await refused.json(), {
    error: 'original_broken',
    message: 'The file is incomplete: the end of the PNG (IEND) is missing; send the whole file again',
  })
  assert.equal((await send('?complete=yes')).status, 400)
  assert.equal((await send('?complete=false')).status, 201)
})

test('A running intake takes a renamed file at once, in new folders too, and ends by SIGTERM', async (t) => {
  const { spool, url } = await setUp(t)
  const intake = startIntake(t, { spool, url, ...RENAMED })
  for (const name of ['mountains.jpg', 'fig-alpha.png', 'stream.webp']) {
    const bytes = await fixture(name)
    await put(join(spool, `source of ${name}`), name, bytes)
    await until(() => isStored(url, bytes), name)
  }
  const last = join(spool, 'source of stream.webp')
  await until(async () => (await readdir(last)).length === 0, 'removed')
  const end = await intake.end()
  assert.equal(end.code, 0, end.problems)
  // The signal may end a pass, which then does not know what is left.
  assert.deepEqual(
    end.lines.map(({ stored, rejected, left = 0 }) => [stored, rejected, left]),
    [[3, 0, 0]],
  )
  assert.deepEqual(await readdir(last), [])
})

test('A file that is written in its place is taken when it is complete, and never in part', async (t) => {
  const { spool, url } = await setUp(t)
  const bytes = await fixture('mountains.jpg')
  const path = join(spool, 'growing.jpg')
  await writeFile(path, bytes.subarray(0, 30_000))
  const intake = startIntake(t, { spool, url })
  // Unchanged for two seconds, so that it is tried; its writer may only have paused, so that it is not rejected.
  const refused = async () => (await (await fetch(`${url}/metrics`)).text()).includes('status="422"')
  await until(refused, 'a refused attempt')
  assert.deepEqual(await readFile(path), bytes.subarray(0, 30_000))
  await writeFile(path, bytes)
  await until(() => isStored(url, bytes), 'the complete file')
  const { lines } = await intake.end()
  assert.deepEqual(
    lines.map(({ rejected }) => rejected),
    [0],
  )
})

test('While the node is away files stay, and are taken when it is back; kill -9 loses and doubles none', async (t) => {
  const folder = await temporaryFolder(t)
  const spool = join(folder, 'spool')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const names = ['mountains.jpg', 'fig-alpha.png', 'stream.webp', 'dandelion.gif', 'dogs-grey.jpg']
  for (const name of names) await put(join(spool, 'agency'), name, await fixture(name))
  const first = startIntake(t, { spool, url, ...RENAMED })
  await until(async () => first.problems() !== '', 'an attempt')
  assert.equal((await shown(join(spool, 'agency'))).length, names.length)
  const store = join(folder, 'data')
  await startNodeFor(t, { port, env: { STORE: `file:${store}` } })
  await until(async () => (await shown(join(spool, 'agency'))).length < names.length, 'the first file')
  const { problems } = await first.end('SIGKILL')
  assert.match(problems, /the node cannot be reached: .*; files stay in the spool folder meanwhile/)
  const end = await ingestOnce({ spool, url, ...RENAMED })
  assert.equal(end.code, 0, end.problems)
  const records = (await filesBelow(join(store, 'records'))).filter((name) => name.endsWith('.json'))
  assert.equal(records.length, names.length)
  assert.deepEqual(await shown(join(spool, 'agency')), [])
})

test('A wrong token moves nothing, and the message names it', async (t) => {
  const { spool, url } = await setUp(t)
  await put(spool, 'mountains.jpg', await fixture('mountains.jpg'))
  const intake = startIntake(t, { spool, url, token: 'not-the-token-of-the-node' })
  await until(async () => (await (await fetch(`${url}/metrics`)).text()).includes('status="401"'), 'a refused attempt')
  const { problems } = await intake.end()
  assert.match(problems, /401 token_required: .*DARKROOM_TOKEN should be one of the UPLOAD_TOKENS/)
  assert.deepEqual(await shown(spool), ['mountains.jpg'])
})

test('Labels and limits of a source count; a file above its limit is rejected without an upload', async (t) => {
  const { spool, url, node } = await setUp(t)
  const rules = join(spool, '..', 'sources.yml')
  await writeFile(rules, 'sources:\n  thumbs: { maxBytes: 1K }\n  agency: { labels: [news, agency] }\n')
  await put(join(spool, 'thumbs'), 'mountains.jpg', await fixture('mountains.jpg'))
  const end = await ingestOnce({ spool, url, args: ['--renamed', '--sources', rules] })
  assert.deepEqual([end.code, end.lines[0]?.['error']], [3, 'original_too_large'])
  assert.equal(await node.metric('darkroom_uploads_total'), 0)
  const bytes = await fixture('fig-alpha.png')
  await put(join(spool, 'agency/today'), 'fig ü.png', bytes)
  assert.equal((await ingestOnce({ spool, url, args: ['--renamed', '--sources', rules] })).code, 0)
  const record = await (await fetch(`${url}/images/${idOf(bytes)}`, { headers: AUTHORIZATION })).text()
  const { labels, name, source } = jsonFields(record)
  assert.deepEqual({ labels, name, source }, { labels: ['news', 'agency'], name: 'fig ü.png', source: 'agency' })
})

test('On a full disk rejected files make room for each other, and views go on', async (t) => {
  const { url } = await setUp(t)
  const disk = await mountSmallDisk(t, 2)
  const spool = join(disk.path, 'spool')
  const good = await fixture('mountains.jpg')
  await put(join(spool, 'agency'), 'good.jpg', good)
  for (let index = 0; index < 3; index += 1) {
    await put(join(spool, 'agency'), `bad-${index}.jpg`, Buffer.alloc(200_000, index))
  }
  assert.equal((await ingestOnce({ spool, url, ...RENAMED })).code, 3)
  const filler = await disk.fill('filler')
  assert.ok((await fetch(`${url}/image/${idOf(good)}/100w`)).ok)
  // Less than one block is left: the reason of the next one needs the room of an older file.
  await truncate(filler, (await readFile(filler)).length - 8192)
  await put(join(spool, 'agency'), 'small.jpg', Buffer.from('<html></html>'))
  await writeFile(join(disk.path, 'rest'), Buffer.alloc(4096)).catch(() => {})
  const end = await ingestOnce({ spool, url, ...RENAMED })
  assert.equal(end.code, 3, end.problems)
  assert.deepEqual(await shown(join(spool, 'agency')), [])
})

test('Rejected files are bounded in bytes and age', async (t) => {
  const { spool, url } = await setUp(t)
  const quarantine = join(spool, '..', 'rejected')
  const args = ['--renamed', '--quarantine', quarantine, '--quarantine-max-bytes', '100K', '--quarantine-max-days', '1']
  for (let index = 0; index < 9; index += 1) await put(spool, `bad-${index}.jpg`, Buffer.alloc(20_000, index))
  await put(spool, 'large.jpg', Buffer.alloc(200_000))
  const end = await ingestOnce({ spool, url, args })
  assert.equal(end.lines.filter(({ fate }) => fate === 'kept').length, 9)
  assert.equal(end.lines.filter(({ fate }) => fate === 'deleted').length, 1)
  assert.deepEqual(await shown(spool), [])
  // Each of 20,480 bytes and a block for its reason, so that four fit; and of the large one the reason.
  const files = await filesBelow(quarantine)
  assert.ok(files.length <= 9, files.join(' '))
  assert.ok(files.length >= 7, files.join(' '))
})

test('An unfinished upload that was left behind is deleted', async (t) => {
  const { spool, url } = await setUp(t)
  await mkdir(join(spool, 'agency'))
  const [old, young] = ['.in.old.jpg.17', '.in.young.jpg.18'].map((name) => join(spool, 'agency', name))
  assert.ok(old !== undefined && young !== undefined)
  await writeFile(old, 'left behind')
  await writeFile(young, 'in progress')
  const hourAgo = new Date(Date.now() - 3_700_000)
  await utimes(old, hourAgo, hourAgo)
  assert.equal((await ingestOnce({ spool, url, ...RENAMED })).code, 0)
  assert.deepEqual(await readdir(join(spool, 'agency')), ['.in.young.jpg.18'])
})
