import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePrimeSizes } from '../../../../src/domain/access/size-policy.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, never } from '../../../support/service-stage.ts'

const ORIGINAL = original()
const open = { kind: 'open' } as const
const sizes = (query: string) => parsePrimeSizes(new URLSearchParams(query), open)

async function primed(stage: ReturnType<typeof createStage>): Promise<void> {
  while (stage.primes.pending > 0) await new Promise(setImmediate)
}

test('The sizes of an upload are made for every class of client, and then only have to be sent', async () => {
  const stage = createStage()
  const { record } = await stage.upload(ORIGINAL)
  stage.primes.prime(record.id, [parseSpec('100w'), parseSpec('200w')])
  await primed(stage)
  for (const file of ['100w.auto-avif.avif', '200w.auto-webp.webp', '200w.jpg', '100w.auto-other.jpg']) {
    assert.ok(stage.disk.files.has(`${record.id}/${file}`), file)
  }
  const viewers = createStage({ disk: stage.disk, store: stage.memory })
  const wanted = { id: record.id, spec: parseSpec('200w'), as: { accept: 'avif' } } as const
  const { format, tier } = await viewers.renditions.rendition(wanted, never)
  assert.deepEqual([format, tier, viewers.engine.rendered.length], ['avif', 'disk', 0])
})

test('What is made ahead has an ETag of its own, as its bytes are others', async () => {
  const stage = createStage()
  const { record } = await stage.upload(ORIGINAL)
  stage.primes.prime(record.id, [parseSpec('100w')])
  await primed(stage)
  const ahead = await stage.renditions.rendition({ id: record.id, spec: parseSpec('100w'), as: 'jpg' }, never)
  const seen = await stage.renditions.rendition({ id: record.id, spec: parseSpec('200w'), as: 'jpg' }, never)
  assert.equal(ahead.mtimeSeconds - seen.mtimeSeconds, 1)
})

test('What a viewer has seen is not replaced, and no viewer waits for what is made ahead', async () => {
  const stage = createStage()
  const { record } = await stage.upload(ORIGINAL)
  const spec = parseSpec('100w')
  const rendering = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  stage.engine.duringRender = () => {
    begun.resolve()
    return rendering.promise
  }
  const ahead = stage.renditions.rendition({ id: record.id, spec, as: 'jpg', ahead: true }, never)
  await begun.promise
  stage.engine.duringRender = async () => {}
  const seen = await stage.renditions.rendition({ id: record.id, spec, as: 'jpg' }, never)
  rendering.resolve()
  assert.equal((await ahead).mtimeSeconds, seen.mtimeSeconds)
  assert.equal(
    (await stage.renditions.rendition({ id: record.id, spec, as: 'jpg' }, never)).mtimeSeconds,
    seen.mtimeSeconds,
  )
})

test('Sizes are given by spaces or several times, each once', () => {
  assert.deepEqual(sizes('sizes=100w+200s&sizes=100w'), [parseSpec('100w'), parseSpec('200s')])
  assert.deepEqual(sizes(''), [])
})

for (const [query, code, message] of [
  ['sizes=0100w', 'invalid_upload', /should be written as "100w"/],
  ['sizes=huge', 'invalid_upload', /"huge"/],
  [`sizes=${Array.from({ length: 21 }, (_, at) => `${at + 1}w`).join('+')}`, 'invalid_upload', /the limit is 20/],
] as const) {
  test(`${query.slice(0, 20)} is refused with the reason`, () => {
    assert.throws(() => sizes(query), { code, message })
  })
}

test('A size that nobody may ask for is not made', () => {
  const policy = { kind: 'list', sizes: ['100w'], fallback: 'refuse' } as const
  assert.deepEqual(parsePrimeSizes(new URLSearchParams('sizes=100w'), policy), [parseSpec('100w')])
  assert.throws(() => parsePrimeSizes(new URLSearchParams('sizes=200w'), policy), { code: 'size_not_allowed' })
})

test('A format that pages name is made as well', async () => {
  const stage = createStage()
  const { record } = await stage.upload(ORIGINAL)
  stage.primes.prime(record.id, [parseSpec('100w')], 'png')
  await primed(stage)
  for (const file of ['100w.png', '100w.jpg', '100w.avif'])
    assert.ok(stage.disk.files.has(`${record.id}/${file}`), file)
})
