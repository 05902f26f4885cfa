import assert from 'node:assert/strict'
import { test } from 'node:test'
import { subjectMistake } from '../../../tools/checks/commit-subject.ts'

const ACCEPTED = [
  'cache: publish renditions by rename',
  'file-store: keep a reserve, so that deletions work on a full disk',
  'docs: process uploads before renders',
  'http: embed the error picture',
  `x: ${'y'.repeat(69)}`,
  "Merge branch 'main' into feature",
  'fixup! cache: publish renditions by rename',
] as const

const REFUSED = {
  '': /area: imperative/,
  'publish renditions by rename': /area: imperative/,
  'Cache: publish renditions': /area: imperative/,
  'cache:publish renditions': /area: imperative/,
  'cache: ': /area: imperative/,
  [`x: ${'y'.repeat(70)}`]: /73 characters/,
  'cache: publish renditions.': /full stop/,
  'cache: publishes renditions': /"publishes" is not an imperative/,
  'cache: published renditions': /"published"/,
  'cache: publishing renditions': /"publishing"/,
  'cache: the sweep deletes files': /"the"/,
  'http: who asks for too much is refused': /"who"/,
} as const

for (const subject of ACCEPTED) {
  test(`The commit subject "${subject}" is accepted`, () => {
    assert.equal(subjectMistake(subject), undefined)
  })
}

for (const [subject, mistake] of Object.entries(REFUSED)) {
  test(`The commit subject "${subject}" is refused`, () => {
    assert.match(subjectMistake(subject) ?? '', mistake)
  })
}
