import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AcceptClass, OutputFormat } from '../../../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, never } from '../../../support/service-stage.ts'

const wanted = (id: string, spec: string, as: OutputFormat = 'webp') => ({ id, spec: parseSpec(spec), as })
const negotiated = (id: string, spec: string, accept: AcceptClass) => ({ id, spec: parseSpec(spec), as: { accept } })

/** Everything that waits for nothing from outside has happened. */
const settled = async () => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
}

test('A rendition is made once, then known in memory, and found on disk by a node that has just started', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const made = await stage.renditions.rendition(wanted(id, '400w'), never)
  assert.partialDeepStrictEqual(made, { id, format: 'webp', file: '400w.webp', published: true, tier: 'miss' })
  assert.equal(stage.disk.files.get(`${id}/400w.webp`)?.toString(), '400x200 webp')
  assert.equal(made.sizeBytes, '400x200 webp'.length)
  assert.equal((await stage.renditions.rendition(wanted(id, '400w'), never)).tier, 'memory')
  const restarted = createStage({ disk: stage.disk })
  assert.equal((await restarted.renditions.rendition(wanted(id, '400w'), never)).tier, 'disk')
  assert.equal((await restarted.renditions.rendition(wanted(id, '400w'), never)).tier, 'memory')
  assert.deepEqual([stage.engine.rendered.length, restarted.engine.rendered.length], [1, 0])
})

test('A node that sends files itself keeps the bytes of small ones in memory', async () => {
  const stage = createStage({ keepBytes: true })
  const id = await stage.plant(original())
  await stage.renditions.rendition(wanted(id, '400w'), never)
  stage.disk.files.clear()
  const { bytes, tier } = await stage.renditions.rendition(wanted(id, '400w'), never)
  assert.deepEqual([bytes?.toString(), tier], ['400x200 webp', 'memory'])
})

test('Many who ask for several sizes of one original cost one fetch and one render a size', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const specs = ['100w', '200w', '300w', '400w', '500w']
  const asks = Array.from({ length: 200 }, (_, index) => wanted(id, specs[index % specs.length] ?? ''))
  const all = await Promise.all(asks.map((ask) => stage.renditions.rendition(ask, never)))
  assert.deepEqual(stage.asked, [`open originals/${id.slice(0, 2)}/${id.slice(2, 4)}/${id}`])
  assert.equal(stage.engine.rendered.length, specs.length)
  assert.equal(all.filter(({ tier }) => tier === 'miss').length, specs.length)
  assert.equal(all.filter(({ tier }) => tier === 'coalesced').length, asks.length - specs.length)
  assert.equal(stage.renditions.flights, 0)
})

test('What is made for somebody else while the disk is looked at is not made again', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const looked = Promise.withResolvers<void>()
  const told = Promise.withResolvers<void>()
  stage.cache.afterLook = () => {
    looked.resolve()
    return told.promise
  }
  const late = stage.renditions.rendition(wanted(id, '400w'), never)
  await looked.promise
  stage.cache.afterLook = async () => {}
  assert.equal((await stage.renditions.rendition(wanted(id, '400w'), never)).tier, 'miss')
  told.resolve()
  assert.partialDeepStrictEqual(await late, { file: '400w.webp', published: true, tier: 'coalesced' })
  assert.equal(stage.engine.rendered.length, 1)
})

test('One who leaves takes nobody else’s picture away', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const rendering = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  stage.engine.duringRender = () => {
    begun.resolve()
    return rendering.promise
  }
  const controller = new AbortController()
  const first = stage.renditions.rendition(wanted(id, '400w'), controller.signal)
  const second = stage.renditions.rendition(wanted(id, '400w'), never)
  await begun.promise
  controller.abort(new Error('left'))
  await assert.rejects(first, { message: 'left' })
  rendering.resolve()
  assert.equal((await second).published, true)
  assert.equal(stage.engine.rendered.length, 1)
})

const NEGOTIATED = [
  [{}, 'avif', '600w.auto-avif.avif'],
  [{}, 'webp', '600w.auto-webp.webp'],
  [{}, 'other', '600w.auto-other.jpg'],
  [{ alpha: true }, 'other', '600w.auto-other.png'],
  [{ frames: 3 }, 'avif', '600w.auto-avif.webp'],
  [{ frames: 3 }, 'other', '600w.auto-other.gif'],
] as const
for (const [facts, accept, file] of NEGOTIATED) {
  test(`${JSON.stringify(facts)} is answered a client of the class "${accept}" under the name ${file}`, async () => {
    const stage = createStage()
    const id = await stage.plant(original(facts))
    const made = await stage.renditions.rendition(negotiated(id, '600w', accept), never)
    assert.equal(made.file, file)
    const explicit = file.replace(/\.auto-\w+/, '')
    assert.deepEqual(stage.disk.files.get(`${id}/${file}`), stage.disk.files.get(`${id}/${explicit}`))
    const restarted = createStage({ disk: stage.disk })
    assert.partialDeepStrictEqual(await restarted.renditions.rendition(negotiated(id, '600w', accept), never), {
      file,
      tier: 'disk',
    })
  })
}

test('A negotiated answer is right though an explicit one of another format is there', async () => {
  const stage = createStage()
  const id = await stage.plant(original({ alpha: true }))
  for (const format of ['jpg', 'avif', 'gif'] as const)
    await stage.renditions.rendition(wanted(id, '400w', format), never)
  const { file } = await stage.renditions.rendition(negotiated(id, '400w', 'other'), never)
  assert.equal(file, '400w.auto-other.png')
})

test('A disk that takes nothing costs the cache, not the picture', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  stage.disk.full = true
  for (const tier of ['miss', 'memory']) {
    const made = await stage.renditions.rendition(wanted(id, '400w'), never)
    assert.partialDeepStrictEqual(made, { published: false, tier })
    assert.equal(made.bytes?.toString(), '400x200 webp')
  }
  const { bytes, format } = await stage.renditions.rendition(negotiated(id, '400w', 'other'), never)
  assert.deepEqual([bytes?.toString(), format], ['400x200 jpg', 'jpg'])
  assert.deepEqual([...stage.disk.files.keys()], [])
})

test('While renditions are published in groups, a client is sent the bytes, and nginx the file as soon as there is one', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const files = () => [...stage.disk.files.keys()].filter((path) => path.startsWith(id))
  const { publish } = stage.cache
  const placed = Promise.withResolvers<void>()
  stage.cache.isBusy = true
  stage.cache.publish = async (...args) => {
    await placed.promise
    return await publish(...args)
  }
  for (const tier of ['miss', 'memory']) {
    const made = await stage.renditions.rendition(wanted(id, '400w'), never)
    assert.partialDeepStrictEqual(made, { published: false, tier, file: '400w.webp' })
    assert.equal(made.bytes?.toString(), '400x200 webp')
  }
  const { bytes } = await stage.renditions.rendition(negotiated(id, '400w', 'webp'), never)
  assert.equal(bytes?.toString(), '400x200 webp')
  assert.deepEqual(files(), [])
  placed.resolve()
  await settled()
  const known = await stage.renditions.rendition(wanted(id, '400w'), never)
  assert.partialDeepStrictEqual(known, { published: true, tier: 'memory' })
  assert.equal(known.bytes, undefined)
  assert.partialDeepStrictEqual(stage.renditions.remembered(negotiated(id, '400w', 'webp')), {
    file: '400w.auto-webp.webp',
    published: true,
  })
  assert.deepEqual(files(), [`${id}/400w.webp`, `${id}/400w.auto-webp.webp`])
  assert.equal(stage.engine.rendered.length, 1)
})

test('What is deleted while it waits for its group does not appear', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const { publish } = stage.cache
  const placed = Promise.withResolvers<void>()
  stage.cache.isBusy = true
  stage.cache.publish = async (...args) => {
    await placed.promise
    return await publish(...args)
  }
  await stage.renditions.rendition(wanted(id, '400w'), never)
  await stage.deletions.remove(id, never)
  placed.resolve()
  await settled()
  assert.deepEqual([...stage.disk.files.keys()], [])
  await assert.rejects(stage.renditions.rendition(wanted(id, '400w'), never), { code: 'original_deleted' })
})

test('What only memory has is not made again because somebody distrusts memory', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  stage.disk.full = true
  for (const ask of [wanted(id, '400w'), negotiated(id, '300w', 'webp')]) {
    for (const again of [false, true, true]) await stage.renditions.rendition({ ...ask, again }, never)
  }
  assert.equal(stage.renditions.remembered({ ...wanted(id, '400w'), again: true })?.tier, 'memory')
  assert.equal(stage.engine.rendered.length, 2)
})

test('A file that is gone is made again when asked to distrust memory', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  await stage.renditions.rendition(negotiated(id, '400w', 'webp'), never)
  for (const path of stage.disk.files.keys()) if (path.startsWith(id)) stage.disk.files.delete(path)
  const made = await stage.renditions.rendition({ ...negotiated(id, '400w', 'webp'), again: true }, never)
  assert.equal(made.tier, 'miss')
  assert.ok(stage.disk.files.has(`${id}/400w.auto-webp.webp`))
})

test('The access time of what memory knows is renewed now and then, and a file found gone thereby is made again', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  await stage.renditions.rendition(wanted(id, '400w'), never)
  stage.clock.ms += 3_600_000
  for (let times = 0; times < 3; times += 1) await stage.renditions.rendition(wanted(id, '400w'), never)
  assert.equal(stage.cache.calls.filter((call) => call === `touch ${id}`).length, 1)
  stage.disk.files.delete(`${id}/400w.webp`)
  stage.clock.ms += 3_600_000
  assert.equal((await stage.renditions.rendition(wanted(id, '400w'), never)).tier, 'miss')
})

test('What was deleted while it was rendered is not published', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  stage.engine.duringRender = () => stage.deletions.remove(id, never)
  await assert.rejects(stage.renditions.rendition(wanted(id, '400w'), never), { code: 'original_deleted' })
  assert.deepEqual([...stage.disk.files.keys()], [])
  await assert.rejects(stage.renditions.rendition(wanted(id, '400w'), never), { code: 'original_deleted' })
})

test('What was deleted between publishing and answering is hidden again', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const { publish } = stage.cache
  stage.cache.publish = async (...args) => {
    const published = await publish(...args)
    await stage.watch.forget(new Set([id]))
    stage.disk.files.set(`${args[0]}/${args[1]}`, args[2])
    return published
  }
  await assert.rejects(stage.renditions.rendition(wanted(id, '400w'), never), { code: 'original_deleted' })
  assert.deepEqual([...stage.disk.files.keys()], [])
})

test('A broken original on this disk is fetched anew', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  await stage.renditions.rendition(wanted(id, '400w'), never)
  stage.disk.files.set(`originals/${id}`, original({ broken: true }))
  const { tier } = await stage.renditions.rendition(wanted(id, '200w'), never)
  assert.equal(tier, 'miss')
  assert.equal(stage.asked.length, 2)
  assert.deepEqual(stage.disk.files.get(`originals/${id}`), original())
})

test('An original that is broken in truth is fetched twice and then remembered as such, for a while', async () => {
  const stage = createStage()
  const id = await stage.plant(original({ broken: true }))
  for (const spec of ['100w', '200w', '300w']) {
    await assert.rejects(stage.renditions.rendition(wanted(id, spec), never), { code: 'original_broken' })
  }
  assert.equal(stage.asked.length, 2)
})

test('A size beyond the limit is refused before anything is fetched', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  await assert.rejects(stage.renditions.rendition(wanted(id, '2001w'), never), { code: 'invalid_path' })
  assert.deepEqual(stage.asked, [])
})

test('What memory holds of an image is dropped when the image is forgotten, and of others kept', async () => {
  const stage = createStage()
  const [id, other] = [await stage.plant(original()), await stage.plant(original({ alpha: true }))]
  for (const each of [id, other]) await stage.renditions.rendition(wanted(each, '400w'), never)
  await stage.watch.forget(new Set([id]))
  assert.equal((await stage.renditions.rendition(wanted(id, '400w'), never)).tier, 'miss')
  assert.equal((await stage.renditions.rendition(wanted(other, '400w'), never)).tier, 'memory')
})

test('Under overload a viewer is refused before anything is fetched, and hears all the same what needs no render', async () => {
  const stage = createStage()
  const [id, known, broken] = [
    await stage.plant(original()),
    await stage.plant(original({ alpha: true })),
    await stage.plant(original({ broken: true })),
  ]
  const missing = 'ab'.repeat(20)
  await stage.renditions.rendition(wanted(known, '400w'), never)
  await assert.rejects(stage.renditions.rendition(wanted(broken, '400w'), never), { code: 'original_broken' })
  await assert.rejects(stage.renditions.rendition(wanted(missing, '400w'), never), { code: 'original_not_found' })
  const place = stage.renderQueue.enter('viewer', { costMs: 1_000_000 })
  stage.asked.length = 0
  for (const refused of [wanted(id, '400w'), negotiated(id, '400w', 'avif'), wanted(known, '300w')]) {
    await assert.rejects(stage.renditions.rendition(refused, never), { code: 'overloaded' })
  }
  assert.deepEqual(stage.asked, [])
  await stage.renditions.rendition(wanted(known, '400w'), never)
  await assert.rejects(stage.renditions.rendition(wanted(broken, '300w'), never), { code: 'original_broken' })
  // It may have been uploaded to another node meanwhile.
  await assert.rejects(stage.renditions.rendition(wanted(missing, '300w'), never), { code: 'overloaded' })
  await stage.renditions.rendition({ ...wanted(id, '500w'), ahead: true }, never)
  place.leave()
  await stage.renditions.rendition(wanted(id, '400w'), never)
  await stage.renditions.rendition(negotiated(id, '400w', 'avif'), never)
  assert.equal(stage.renderQueue.expectedWaitMs, 0, 'nothing is left in the accounts')
})

test('What is refused, fails or is given up leaves nothing in the accounts of the queue', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const rendering = Promise.withResolvers<void>()
  stage.engine.duringRender = () => rendering.promise
  const gone = new AbortController()
  const asked = ['100w', '200w', '300w', '400w', '500w'].map((spec) =>
    stage.renditions.rendition(wanted(id, spec), gone.signal),
  )
  await new Promise(setImmediate)
  gone.abort(new Error('gone'))
  for (const each of asked) await assert.rejects(each, { message: 'gone' })
  rendering.resolve()
  await stage.renditions.rendition(wanted(id, '600w'), never)
  assert.equal(stage.renderQueue.expectedWaitMs, 0)
})

test('A file that is gone each time it is opened is answered with 503, after two attempts', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const view = { original: { kind: 'image', id }, spec: parseSpec('400w'), as: 'webp' } as const
  const tiers: string[] = []
  const neverThere = ({ tier }: { readonly tier: string }) => {
    tiers.push(tier)
    return false
  }
  await assert.rejects(stage.views.view(view, neverThere, never), { code: 'disk_unavailable' })
  // The second attempt looks at the disk although memory has the entry.
  assert.deepEqual(tiers, ['miss', 'disk'])
})

test('An image that is deleted or purged during each attempt is attempted four times', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  let renders = 0
  stage.engine.duringRender = async () => {
    renders += 1
    await stage.watch.forget(new Set([id]))
  }
  await assert.rejects(stage.renditions.rendition(wanted(id, '400w'), never), { code: 'original_deleted' })
  assert.equal(renders, 4)
})

test('An image that is deleted and uploaded again during an attempt is answered by the next attempt', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  stage.engine.duringRender = async () => {
    stage.engine.duringRender = async () => {}
    await stage.watch.forget(new Set([id]))
  }
  const all = await Promise.all([1, 2, 3].map(() => stage.renditions.rendition(wanted(id, '400w'), never)))
  assert.deepEqual(all.map(({ tier }) => tier).toSorted(), ['coalesced', 'coalesced', 'miss'])
  assert.equal(stage.engine.rendered.length, 2)
})

test('Each reason has attempts of its own: a damaged source does not use up those of a deletion', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  await stage.renditions.rendition(wanted(id, '200w'), never)
  stage.disk.files.set(`originals/${id}`, original({ broken: true }))
  let renders = 0
  stage.engine.duringRender = async () => {
    renders += 1
    if (renders === 2) await stage.watch.forget(new Set([id]))
  }
  const made = await stage.renditions.rendition(wanted(id, '400w'), never)
  assert.partialDeepStrictEqual(made, { tier: 'miss', published: true })
})
