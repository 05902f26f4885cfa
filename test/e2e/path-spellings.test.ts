import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyUrl } from '../../tools/fuzz/any-url.ts'
import { backgroundIsDone } from '../../tools/servers/darkroom.ts'
import { ask, essence, isDirectHit, newId } from '../support/path-answers.ts'
import { SPELLINGS, type Spelling } from '../support/path-spellings.ts'
import { startWholeSite } from '../support/whole-site.ts'

const CONCURRENCY = 4
/** These are on disk, so that what is spelled wrongly has a file beside it. */
const NEIGHBOURS = ['40w', '40w.webp', '40w/x.jpg', '400w', '400w.webp']

test(`The node, its nginx with and without the file, and the front agree on ${SPELLINGS.length} spellings`, async (t) => {
  assert.ok(SPELLINGS.length >= 200)
  const { node, nginx, origins, id: shared } = await startWholeSite(t)
  await Promise.all(NEIGHBOURS.map((size) => fetch(`${nginx.origin}/image/${shared}/${size}`)))
  const queue = SPELLINGS.values()
  const differences: string[] = []
  const hits: { readonly what: string; readonly askedAs: Spelling }[] = []
  const work = async () => {
    for (const spelling of queue) {
      // What is served is asked of a picture that no other request has: so nginx finds no file at first.
      const id = spelling.status === 200 ? await newId(node) : shared
      const target = spelling.target.replace('{id}', id).replace('{ID}', id.toUpperCase())
      const askedAs = { ...spelling, target }
      const wanted = { status: spelling.status, answer: spelling.answer }
      const first = await ask(origins.nginx, askedAs)
      const cold = essence(first, id)
      const warm = await ask(origins.nginx, askedAs)
      const answers = {
        cold,
        warm: essence(warm, id),
        node: essence(await ask(origins.node, askedAs), id),
        front: essence(await ask(origins.front, askedAs), id),
      }
      const what = `${spelling.method ?? 'GET'} ${JSON.stringify(spelling.target)}`
      const plain = { status: cold.status, answer: cold.answer }
      for (const [from, answer] of Object.entries(answers)) {
        if (JSON.stringify(answer) !== JSON.stringify(cold) || JSON.stringify(plain) !== JSON.stringify(wanted)) {
          differences.push(`${what}: ${from} ${JSON.stringify(answer)}, wanted ${JSON.stringify(wanted)}`)
        }
      }
      if (isDirectHit(first)) differences.push(`${what} was on disk already`)
      if (spelling.isHit) hits.push({ what, askedAs })
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, work))
  // Under load, renditions are published in groups.
  await backgroundIsDone(node)
  for (const { what, askedAs } of hits) {
    if (!isDirectHit(await ask(origins.nginx, askedAs))) differences.push(`${what} is no direct hit`)
  }
  assert.deepEqual(differences, [])
})

/** A front has no metrics of its own. */
const MADE_UP = fc.sample(
  anyUrl({ id: '{id}', remote: 'https://images.test', bucket: 'photos' }).filter((target) => !/metrics/i.test(target)),
  { numRuns: 1000, seed: 20_261_124 },
)

test(`They agree on ${MADE_UP.length} made-up URLs too`, async (t) => {
  const { origins, id } = await startWholeSite(t)
  const queue = MADE_UP.values()
  const differences: string[] = []
  const work = async () => {
    for (const madeUp of queue) {
      const target = Buffer.from(madeUp.replaceAll('{id}', id))
        .toString('latin1')
        .replaceAll(/[\r\n]/g, '%0A')
      // nginx has a shorter limit of its own.
      if (target.length > 4000) continue
      const spelling = { target, status: 0, answer: '' }
      const cold = JSON.stringify(essence(await ask(origins.nginx, spelling)))
      for (const [from, origin] of Object.entries(origins)) {
        const answer = JSON.stringify(essence(await ask(origin, spelling)))
        if (answer !== cold)
          differences.push(`${JSON.stringify(target)}: nginx at first ${cold}, the ${from} ${answer}`)
      }
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, work))
  assert.deepEqual(differences, [])
})
