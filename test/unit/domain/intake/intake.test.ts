import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sourceOf } from '../../../../src/domain/intake/intake-source.ts'
import { planEviction, quarantineBytes } from '../../../../src/domain/intake/quarantine-plan.ts'
import { waitFor } from '../../../../src/domain/intake/settling.ts'
import { readSpoolName } from '../../../../src/domain/intake/spool-name.ts'
import { judgeUpload } from '../../../../src/domain/intake/upload-outcome.ts'

for (const [name, kind] of Object.entries({
  'cat.jpg': 'file',
  'in.jpg': 'file',
  '.in.cat.jpg.4711': 'unfinished',
  '.taken-0123456789abcdef': 'taken',
  '.cat.jpg.Xa81': 'hidden',
  '.quarantine': 'hidden',
})) {
  test(`${name} is ${kind}`, () => assert.equal(readSpoolName(name), kind))
}

test('The longest folder with rules that contains a file is its source, else its first folder', () => {
  const otherwise = { labels: ['other'] }
  const rules = new Map([
    ['agency', { labels: ['news'] }],
    ['agency/sport', { labels: ['sport'], maxBytes: 10 }],
  ])
  const cases = {
    'agency/a.jpg': { name: 'agency', labels: ['news'] },
    'agency/culture/a.jpg': { name: 'agency', labels: ['news'] },
    'agency/sport/today/a.jpg': { name: 'agency/sport', labels: ['sport'], maxBytes: 10 },
    'agency-two/a.jpg': { name: 'agency-two', labels: ['other'] },
    'camera/b/a.jpg': { name: 'camera', labels: ['other'] },
    'a.jpg': { name: '', labels: ['other'] },
  } as const
  for (const [path, source] of Object.entries(cases)) assert.deepEqual(sourceOf(path, rules, otherwise), source)
})

test('A renamed file is taken at once, one written in its place when it is unchanged for a while', () => {
  const file = { sizeBytes: 1, modifiedMs: 10_000 }
  const at = (now: number) => ({ settleMs: 2000, now })
  assert.equal(waitFor({ ...file, isCommitted: true }, undefined, at(10_000)), 0)
  assert.equal(waitFor({ ...file, isCommitted: false }, undefined, at(10_500)), 1500)
  assert.equal(waitFor({ ...file, isCommitted: false }, undefined, at(12_000)), 0)
})

test('Where the clock of the file server is ahead, an earlier look tells that a file is unchanged', () => {
  const file = { sizeBytes: 1, modifiedMs: 99_000, isCommitted: false }
  assert.equal(waitFor(file, undefined, { settleMs: 2000, now: 10_000 }), 2000)
  assert.equal(waitFor(file, { sinceMs: 9000 }, { settleMs: 2000, now: 10_000 }), 1000)
  assert.equal(waitFor(file, { sinceMs: 8000 }, { settleMs: 2000, now: 10_000 }), 0)
})

for (const [status, kind] of [
  [200, 'stored'],
  [201, 'stored'],
  [413, 'rejected'],
  [415, 'rejected'],
  [422, 'rejected'],
  [500, 'failed'],
  [504, 'failed'],
  [301, 'unavailable'],
  [400, 'unavailable'],
  [401, 'unavailable'],
  [403, 'unavailable'],
  [404, 'unavailable'],
  [408, 'unavailable'],
  [429, 'unavailable'],
  [502, 'unavailable'],
  [503, 'unavailable'],
] as const) {
  test(`An upload with the answer ${status} is ${kind}`, () => assert.equal(judgeUpload({ status }).kind, kind))
}

test('Only a wrong request waits without Retry-After', () => {
  const seconds = (answer: Parameters<typeof judgeUpload>[0]) => {
    const outcome = judgeUpload(answer)
    return outcome.kind === 'unavailable' ? outcome.retryAfterSeconds : undefined
  }
  assert.equal(seconds({ status: 401 }), 30)
  assert.equal(seconds({ status: 503 }), 0)
  assert.equal(seconds({ status: 503, retryAfterSeconds: 7 }), 7)
})

test('The oldest entries make room, and those that are too old go without need', () => {
  const entries = [1, 2, 3].map((day) => ({ path: String(day), bytes: 10, rejectedMs: day }))
  const plan = (maxBytes: number, maxAgeMs: number, room: number) =>
    planEviction(entries, { maxBytes, maxAgeMs }, { now: 4, room }).map(({ path }) => path)
  assert.deepEqual(plan(30, 100, 0), [])
  assert.deepEqual(plan(30, 100, 1), ['1'])
  assert.deepEqual(plan(30, 100, 11), ['1', '2'])
  assert.deepEqual(plan(30, 1, 0), ['1', '2'])
  assert.deepEqual(plan(5, 100, 0), ['1', '2', '3'])
})

test('A file and its reason occupy whole blocks', () => {
  assert.deepEqual([0, 1, 4096, 4097].map(quarantineBytes), [4096, 8192, 8192, 12_288])
})
