import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { resourceId } from '../../../../src/domain/identity/image-id.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { createMemoryBucket } from '../../../support/memory-bucket.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, never, type StageOptions } from '../../../support/service-stage.ts'

const REF = { kind: 'object', bucket: 'photos', key: 'public/a b.jpg' } as const
const FRESHNESS = { freshSeconds: 60, staleWhileRevalidateSeconds: 30, staleIfErrorSeconds: 3600 }
const OLD = original()
const NEW = original({ stored: { width: 500, height: 400 } })

function setStage(options: StageOptions = {}) {
  const bucket = createMemoryBucket()
  bucket.objects.set(REF.key, OLD)
  const stage = createStage({
    ...options,
    buckets: new Map([['photos', { bucket, keyPrefix: 'public/', freshness: FRESHNESS }]]),
  })
  const current = (key: string = REF.key) => stage.currentOf({ ...REF, key }, never)
  const render = (key: string = REF.key) =>
    stage.versions.use({ ...REF, key }, never, async (id) => {
      await stage.renditions.rendition({ id, spec: parseSpec('full'), as: 'jpg' }, never)
      return id
    })
  /** What was asked of the bucket since it was asked last. */
  const asked = () => bucket.asked.splice(0)
  /** Opens as many other objects as may be open: the next one is looked at before it is opened. */
  const fillArrivals = async () => {
    for (let index = 0; index < 16; index += 1) {
      bucket.objects.set(`public/${index}`, OLD)
      await stage.currentOf({ ...REF, key: `public/${index}` }, never)
    }
    asked()
  }
  return {
    ...stage,
    bucket,
    current,
    render,
    asked,
    fillArrivals,
    pass: (seconds: number) => (stage.clock.ms += seconds * 1000),
  }
}

test('Within the fresh time nothing is asked', async () => {
  const { current, asked, pass } = setStage()
  const { id } = await current()
  pass(59)
  assert.equal((await current()).id, id)
  assert.deepEqual(asked(), [`read ${REF.key}`])
})

test('After it who comes gets the old one at once, while the bucket is asked once', async () => {
  const { current, asked, pass, bucket } = setStage()
  const { id } = await current()
  bucket.objects.set(REF.key, NEW)
  pass(61)
  const [first, second] = await Promise.all([current(), current()])
  assert.deepEqual([first.id, second.id], [id, id])
  assert.notEqual((await current()).id, id, 'the next one gets the new one')
  assert.deepEqual(asked(), [`read ${REF.key}`, `look ${REF.key}`])
})

test('Later nobody gets the old one, unless the bucket does not answer', async () => {
  const { current, pass, bucket } = setStage()
  const { id } = await current()
  bucket.objects.set(REF.key, NEW)
  pass(91)
  bucket.down = true
  assert.equal((await current()).id, id)
  bucket.down = false
  pass(6)
  assert.notEqual((await current()).id, id)
})

test('A bucket that does not answer is spared for some seconds', async () => {
  const { current, asked, pass, bucket } = setStage()
  await current()
  pass(91)
  bucket.down = true
  for (let times = 0; times < 10; times += 1) await current()
  assert.equal(asked().length, 2)
})

test('Beyond the time for errors there is no old one', async () => {
  const { current, pass, bucket } = setStage()
  await current()
  pass(3661)
  bucket.down = true
  await assert.rejects(current(), { code: 'store_unavailable' })
})

test('A clock that was set back does not make anything fresh', async () => {
  const { current, pass, bucket } = setStage()
  const { id } = await current()
  bucket.objects.set(REF.key, NEW)
  pass(-10)
  assert.notEqual((await current()).id, id)
})

test('An object that is gone is a 404 at once when it is found out, and is seen when it is back', async () => {
  const { current, asked, pass, bucket } = setStage()
  const { id } = await current()
  bucket.objects.delete(REF.key)
  pass(91)
  for (let times = 0; times < 3; times += 1) await assert.rejects(current(), { code: 'original_not_found' })
  assert.equal(asked().length, 2)
  bucket.objects.set(REF.key, OLD)
  pass(6)
  assert.equal((await current()).id, id, 'the same bytes are the same version')
})

test('An object that changes between the look and the reading is read as what it has become', async () => {
  const { render, asked, bucket, current, engine, fillArrivals } = setStage()
  await fillArrivals()
  const { id } = await current()
  bucket.objects.set(REF.key, NEW)
  assert.notEqual(await render(), id)
  assert.deepEqual(engine.rendered, ['500x400 jpg'])
  assert.deepEqual(asked().slice(1), [`open ${REF.key}`, `look ${REF.key}`, `open ${REF.key}`])
})

test('One that changes all the time is not to be had', async () => {
  const { render, bucket, fillArrivals } = setStage()
  await fillArrivals()
  const { open } = bucket
  bucket.open = (...args) => {
    bucket.objects.set(REF.key, original({ padding: String(Math.random()) }))
    return open(...args)
  }
  await assert.rejects(render(), { name: 'ChangedError', code: 'store_unavailable' })
})

test('An invalidation from anywhere makes the next one ask, whatever was asked before it', async () => {
  const { current, bucket, watch, asked } = setStage()
  const { id } = await current()
  bucket.objects.set(REF.key, NEW)
  await watch.announce(resourceId(REF), never)
  assert.notEqual((await current()).id, id)
  asked()

  const looked = Promise.withResolvers<void>()
  const answered = Promise.withResolvers<void>()
  const { look } = bucket
  await watch.announce(resourceId(REF), never)
  bucket.look = async (...args) => {
    const seen = await look(...args)
    bucket.look = look
    looked.resolve()
    await answered.promise
    return seen
  }
  const before = current()
  await looked.promise
  bucket.objects.set(REF.key, OLD)
  await watch.announce(resourceId(REF), never)
  const after = await current()
  answered.resolve()
  assert.notEqual((await before).id, after.id)
  assert.equal((await current()).id, after.id, 'the late answer did not count')
  assert.equal(after.id, id)
})

test('Who waits while it is overwritten gets the new one, as soon as this node is told', async () => {
  const { render, bucket, watch, engine, current } = setStage()
  const { id } = await current()
  engine.duringRender = async () => {
    if (engine.rendered.length > 1) return
    bucket.objects.set(REF.key, NEW)
    await watch.announce(resourceId(REF), never)
  }
  assert.notEqual(await render(), id)
  assert.deepEqual(engine.rendered, ['1000x500 jpg', '500x400 jpg'])
})

test('Who waits while it is removed is told so', async () => {
  const { render, bucket, watch, engine } = setStage()
  engine.duringRender = async () => {
    bucket.objects.delete(REF.key)
    await watch.announce(resourceId(REF), never)
  }
  await assert.rejects(render(), { code: 'original_not_found' })
})

test('What is told of the version that is being rendered costs a look, and no second rendering', async () => {
  const { render, watch, engine, asked } = setStage()
  engine.duringRender = () => watch.announce(resourceId(REF), never)
  await render()
  assert.equal(engine.rendered.length, 1)
  assert.deepEqual(asked(), [`read ${REF.key}`, `look ${REF.key}`])
})

test('What is overwritten during every rendering is served as it was read last', async () => {
  const { render, bucket, watch, engine } = setStage()
  engine.duringRender = async () => {
    bucket.objects.set(REF.key, original({ padding: 'x'.repeat(engine.rendered.length) }))
    await watch.announce(resourceId(REF), never)
  }
  await render()
  assert.equal(engine.rendered.length, 3)
})

test('Unknown buckets and keys outside the prefix are not there, and nothing is asked', async () => {
  const { currentOf, asked } = setStage()
  const unknown = currentOf({ ...REF, bucket: 'other' }, never)
  await assert.rejects(unknown, { code: 'bucket_not_found', message: /alias "other"/ })
  for (const ref of [
    { ...REF, key: 'private/a.jpg' },
    { ...REF, key: 'public' },
  ]) {
    await assert.rejects(currentOf(ref, never), { code: 'original_not_found' })
  }
  assert.deepEqual(asked(), [])
})

test('Renditions of two versions are apart, and those of a version that comes back are still there', async () => {
  const { render, bucket, watch, engine, disk } = setStage()
  const first = await render()
  bucket.objects.set(REF.key, NEW)
  await watch.announce(resourceId(REF), never)
  const second = await render()
  bucket.objects.set(REF.key, OLD)
  await watch.announce(resourceId(REF), never)
  assert.equal(await render(), first)
  assert.equal(engine.rendered.length, 2)
  assert.ok(disk.files.has(`${first}/full.jpg`) && disk.files.has(`${second}/full.jpg`))
})

test('Bytes that are not as long as the object are not taken for it', async () => {
  const { render, bucket, asked } = setStage()
  const { open, read } = bucket
  const short = () => Readable.from([Buffer.from('short')])
  bucket.read = async (...args) => {
    const found = await read(...args)
    return found && { ...found, object: { ...found.object, body: short() } }
  }
  await render()
  assert.deepEqual(asked(), [`read ${REF.key}`, `open ${REF.key}`])
  bucket.objects.set('public/other', OLD)
  bucket.open = async (...args) => {
    const object = await open(...args)
    return object && { ...object, body: short() }
  }
  await assert.rejects(render('public/other'), { code: 'store_unavailable' })
})

test('An object that nothing reads after its resolution is closed, and opened again when it is needed', async () => {
  const { current, render, bucket, asked, versions } = setStage()
  const bodies: Readable[] = []
  const { read } = bucket
  bucket.read = async (...args) => {
    const found = await read(...args)
    if (found) bodies.push(found.object.body)
    return found
  }
  await current()
  const [body] = bodies
  assert.ok(body)
  if (!body.closed) await once(body, 'close')
  await render()
  assert.deepEqual(asked(), [`read ${REF.key}`, `open ${REF.key}`])
  bucket.objects.set('public/other', OLD)
  await render('public/other')
  assert.ok(bodies[1]?.readableEnded)
  bucket.objects.set('public/third', OLD)
  await current('public/third')
  await versions.stop()
  assert.ok(bodies[2]?.destroyed)
})

test('Its mezzanines stay on the node', async () => {
  const bucket = createMemoryBucket()
  bucket.objects.set(REF.key, original({ stored: { width: 4000, height: 2000 }, padding: 'x'.repeat(600) }))
  const stage = createStage({
    buckets: new Map([['photos', { bucket, keyPrefix: '', freshness: FRESHNESS }]]),
    minPixels: 1_000_000,
  })
  const { id } = await stage.currentOf(REF, never)
  await stage.mezzanines.make(id)
  assert.ok(stage.disk.files.has(`mezzanines/${id}/768`))
  assert.deepEqual([...stage.objects.keys()], [])
  await stage.renditions.rendition({ id, spec: parseSpec('300w'), as: 'jpg' }, never)
  assert.deepEqual(bucket.asked, [`read ${REF.key}`])
})

test('After a start an object is looked at again; while its bucket does not answer, what was told before goes on', async () => {
  const first = setStage()
  const { id, checkedAt } = await first.current()
  await first.versions.stop()
  const second = setStage({ disk: first.disk, clock: first.clock })
  second.pass(10)
  second.bucket.down = true
  const stale = await second.current()
  assert.deepEqual([stale.id, stale.checkedAt], [id, checkedAt])
  const third = setStage({ disk: first.disk, clock: first.clock })
  third.bucket.objects.set(REF.key, NEW)
  assert.notEqual((await third.current()).id, id)
})

test('What was told before an invalidation does not come back after a start', async () => {
  const first = setStage()
  await first.current()
  await first.versions.stop()
  await first.watch.announce(resourceId(REF), never)
  const second = setStage({ disk: first.disk, clock: first.clock })
  second.bucket.down = true
  await assert.rejects(second.current(), { code: 'store_unavailable' })
})
