import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadIntakeRules, parseIntakeRules } from '../../../src/config/intake-file.ts'

test('Sources have labels and a limit; the default is for the others', () => {
  const text = `
sources:
  agency: { labels: [news, agency], maxBytes: 20M }
  agency/sport: { labels: [sport] }
default: { maxBytes: 1048576 }
`
  const { sources, otherwise } = parseIntakeRules(text, 'sources.yml')
  assert.deepEqual(
    [...sources],
    [
      ['agency', { labels: ['news', 'agency'], maxBytes: 20_971_520 }],
      ['agency/sport', { labels: ['sport'] }],
    ],
  )
  assert.deepEqual(otherwise, { labels: [], maxBytes: 1_048_576 })
})

test('An empty file has no rules', () => {
  const { sources, otherwise } = parseIntakeRules('', 'sources.yml')
  assert.deepEqual([[...sources], otherwise], [[], { labels: [] }])
})

const MISTAKES = {
  'sources: [agency]': /sources: should be a map/,
  'sources: { /agency: {} }': /should be a folder below the spool folder, such as agency\/sport/,
  'sources: { a/../b: {} }': /should be a folder below the spool folder/,
  'sources: { a: { labels: news } }': /sources\.a\.labels: should be a list of labels/,
  'sources: { a: { labels: ["two words"] } }': /should be 1 to 64 of the characters a-z/,
  'sources: { a: { maxBytes: many } }': /sources\.a\.maxBytes: should be a number of bytes such as 20M/,
  'sources: { a: { maxbytes: 1 } }': /sources\.a: .*maxbytes/,
  'default: {': /sources\.yml is not valid YAML/,
} as const
for (const [text, message] of Object.entries(MISTAKES)) {
  test(`${text} is refused with the reason`, () => {
    assert.throws(() => parseIntakeRules(text, 'sources.yml'), message)
  })
}

test('Two mistakes are reported together', () => {
  const text = 'sources: { a: { labels: [""], maxBytes: no } }'
  assert.throws(() => parseIntakeRules(text, 'sources.yml'), /labels\.0: should be 1 to 64[^]*maxBytes: should be/)
})

test('A missing file is a mistake in the option', async () => {
  await assert.rejects(loadIntakeRules('/nowhere/sources.yml'), /--sources: \/nowhere\/sources\.yml cannot be read/)
})
