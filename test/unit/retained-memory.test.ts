import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import { OriginalError, RemoteError, ServiceError, UnavailableError } from '../../src/errors.ts'
import type { RemoteSource } from '../../src/service/ports/remote.ts'
import { memoize } from '../../src/service/tools/memoize.ts'
import { collectGarbage } from '../support/collect-garbage.ts'
import { isCollected } from '../support/is-collected.ts'
import { createMemoryBucket } from '../support/memory-bucket.ts'
import { original } from '../support/memory-engine.ts'
import { createStage, idOf, never } from '../support/service-stage.ts'

const MB = 1e6
const OBJECT = { kind: 'object', bucket: 'photos', key: 'none.jpg' } as const
const REMOTE = { kind: 'remote', url: 'https://a.example/b.jpg', client: '192.0.2.1' } as const
const FRESHNESS = { freshSeconds: 60, staleWhileRevalidateSeconds: 30, staleIfErrorSeconds: 3600 }

function setBucketStage(down: boolean) {
  const bucket = createMemoryBucket()
  bucket.down = down
  return createStage({ buckets: new Map([['photos', { bucket, keyPrefix: '', freshness: FRESHNESS }]]) })
}

function remoteThat(fail: () => Error): RemoteSource {
  return { fetch: () => Promise.reject(fail()), close: async () => {} }
}

/** What fails, and is remembered for the next caller, who gets the same answer. */
const FAILURES: Readonly<Record<string, () => () => Promise<unknown>>> = {
  'a missing object': () => {
    const { currentOf } = setBucketStage(false)
    return () => currentOf(OBJECT, never)
  },
  'an object of a bucket that is down': () => {
    const { currentOf } = setBucketStage(true)
    return () => currentOf(OBJECT, never)
  },
  'a missing remote image': () => {
    const fail = () => new OriginalError('original_not_found', 'The remote host has no image at this URL')
    const { currentOf } = createStage({ remoteSource: remoteThat(fail) })
    return () => currentOf(REMOTE, never)
  },
  'a remote host that fails': () => {
    const fail = () => new RemoteError('remote_failed', 'The remote host refused the connection')
    const { currentOf } = createStage({ remoteSource: remoteThat(fail) })
    return () => currentOf(REMOTE, never)
  },
  'a missing upload': () => {
    const { originals } = createStage()
    return () => originals.ready({ id: idOf(original()) }, never)
  },
  'an original that is no image': () => {
    const { plant, originals } = createStage()
    const planted = plant(Buffer.from('a text'))
    return async () => originals.ready({ id: await planted }, never)
  },
  'a broken picture': () => {
    const { plant, renditions, originals } = createStage()
    const planted = plant(original({ broken: true }))
    return async () => {
      const id = await planted
      originals.forget(new Set([id]))
      await renditions.rendition({ id, spec: parseSpec('400w'), as: 'jpg' }, never)
    }
  },
}

async function failureOf(run: () => Promise<unknown>): Promise<ServiceError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof ServiceError) return error
    throw error
  }
  return assert.fail('It should have failed')
}

for (const [name, prepare] of Object.entries(FAILURES)) {
  test(`The failure of ${name} is remembered, and its error is not: that would hold the request in memory`, async () => {
    const run = prepare()
    const first = await describe(run)
    const { held, ...told } = await describe(run)
    assert.deepEqual(told, { name: first.name, code: first.code, message: first.message })
    assert.ok(await isCollected(first.held), 'the first error is still in memory')
    assert.ok(await isCollected(held), 'the error for the next caller is still in memory')
  })
}

/** Of its own, so that no variable holds the error. */
async function describe(run: () => Promise<unknown>) {
  const error = await failureOf(run)
  return { name: error.name, code: error.code, message: error.message, held: new WeakRef(error) }
}

const COUNT = 10_000
const BOUND = 1000

/** One of any number that are not there, by its number. */
const MISSING: Readonly<Record<string, (stage: ReturnType<typeof createStage>, number: number) => Promise<unknown>>> = {
  ids: ({ originals, aliases }, number) => {
    const id = idOf(Buffer.from(String(number)))
    return Promise.allSettled([originals.ready({ id }, never), aliases.find(id, never)])
  },
  keys: ({ currentOf }, number) => currentOf({ ...OBJECT, key: `${LONG}/${number}` }, never),
  'remote URLs': ({ currentOf }, number) => currentOf({ ...REMOTE, url: `https://a.example/${LONG}/${number}` }, never),
  specs: ({ renditions }, number) => {
    const spec = parseSpec(`${1 + (number % 2000)}w,q${1 + Math.floor(number / 2000)}`)
    return renditions.rendition({ id: idOf(original()), spec, as: 'jpg' }, never)
  },
}
/** Of what is requested, so that it would show if it were held. */
const LONG = 'x'.repeat(900)

for (const [name, ask] of Object.entries(MISSING)) {
  test(`10,000 distinct missing ${name} are held in memory up to the bounds of 1,000`, async () => {
    const bucket = createMemoryBucket()
    const stage = createStage({
      maxRemembered: BOUND,
      memoryBytes: BOUND * 600,
      minPixels: 1,
      buckets: new Map([['photos', { bucket, keyPrefix: '', freshness: FRESHNESS }]]),
      remoteSource: remoteThat(
        () => new OriginalError('original_not_found', 'The remote host has no image at this URL'),
      ),
    })
    await stage.plant(original())
    const missOnes = async (from: number, count: number) => {
      for (let number = from; number < from + count; number += 1) {
        await ask(stage, number).catch(() => {})
        // What stands for the disk and the store, and what they note for tests.
        for (const notes of [stage.asked, stage.cache.calls, bucket.asked, stage.engine.rendered, stage.engine.decoded])
          notes.splice(0)
        for (const file of stage.disk.files.keys()) if (file.includes('.')) stage.disk.files.delete(file)
      }
      collectGarbage()
      return process.memoryUsage().heapUsed
    }
    const before = await missOnes(0, BOUND)
    const grown = (await missOnes(BOUND, COUNT)) - before
    assert.ok(grown < 6 * MB, `${grown} bytes are held`)
  })
}

test('Fetching an original leaves no signal and no timer behind', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const fetchAgain = async (times: number) => {
    for (let time = 0; time < times; time += 1) {
      await stage.originals.ready({ id }, never)
      await stage.cache.hide([id])
      stage.originals.forget(new Set([id]))
      stage.asked.length = 0
      stage.cache.calls.length = 0
    }
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const before = await fetchAgain(500)
  const grown = (await fetchAgain(3000)) - before
  assert.ok(grown < 2 * MB, `${grown} bytes are held of 3,000 fetches`)
})

test('A mezzanine shelf that could not be read is read again for the next caller', async () => {
  const stage = createStage({ minPixels: 1 })
  const { readMezzanines } = stage.cache
  stage.cache.readMezzanines = () => Promise.reject(new UnavailableError('disk_unavailable', 'The disk fails'))
  await assert.rejects(stage.mezzanines.here('a', 768), { code: 'disk_unavailable' })
  stage.cache.readMezzanines = readMezzanines
  assert.equal(await stage.mezzanines.here('a', 768), undefined)
})

test('Versions of originals are bounded in bytes: long URLs push out others', async () => {
  const bytes = original()
  const freshness = { storable: true, freshSeconds: 60, staleWhileRevalidateSeconds: 0, staleIfError: true }
  const { currentOf, versions } = createStage({
    maxRemembered: 1000,
    newRemotes: 200,
    remoteSource: {
      fetch: async () => ({ kind: 'body', body: Readable.from([bytes]), freshness, validators: {} }),
      close: async () => {},
    },
  })
  const ids: string[] = []
  for (let number = 0; number < 200; number += 1) {
    const url = `https://a.example/${number}?${'x'.repeat(20_000)}`
    ids.push((await currentOf({ ...REMOTE, url, client: String(number) }, never)).id)
  }
  const known: string[] = []
  for (const id of ids) if ((await versions.locate(id).sizeBytes(never)) !== undefined) known.push(id)
  assert.ok(known.length >= 20 && known.length <= 51, `${known.length} versions with URLs of 20 KB in 1,024,000 bytes`)
  assert.deepEqual(known, ids.slice(-known.length))
})

test('The path of a URL is remembered without the query that came after it', () => {
  const read = memoize((path) => ({ path }), 4 * MB)
  const query = 'x'.repeat(16_000)
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  for (let number = 0; number < 3000; number += 1) {
    const url = Buffer.from(`/image/${number}/400w?${query}`).toString('latin1')
    read(url.slice(0, url.indexOf('?')))
  }
  collectGarbage()
  const grown = process.memoryUsage().heapUsed - before
  assert.ok(grown < 8 * MB, `${Math.round(grown / MB)} MB are held for 4 MB`)
  assert.equal(read('/image/2999/400w').path, '/image/2999/400w')
})
