import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Env, loadConfig } from '../../../src/config/env.ts'
import { describeSettings, formatSettings } from '../../../src/config/help.ts'

const HELP = formatSettings()
const LINES = HELP.split('\n')
const ROWS = describeSettings().flatMap(({ rows }) => rows)

test('The help names every setting once, below a heading', () => {
  const names = ROWS.map(({ name }) => name)
  assert.deepEqual(names.toSorted(), Object.keys(Env.shape).toSorted())
  for (const name of names) assert.equal(LINES.filter((line) => line === `  ${name}`).length, 1, name)
  const headings = LINES.filter((line) => /^\S/.test(line))
  assert.deepEqual(
    headings,
    describeSettings().map(({ title }) => title),
  )
  assert.ok(headings.includes('Object store') && headings.includes('Limits and timeouts'))
})

test('No line of the help is wider than 100 columns, and no text of it is lost', () => {
  for (const line of LINES) assert.ok(line.length <= 100, line)
  const words = HELP.replaceAll(/\s+/g, ' ')
  for (const { name, about, preset, whenUnset, allowed, unit } of ROWS) {
    const values = `${allowed === undefined ? '' : ` Allowed: ${allowed}.`}${unit === undefined ? '' : ` Unit: ${unit}.`}`
    assert.ok(words.includes(` ${name} ${about} Default: ${preset ?? whenUnset}.${values}`), name)
  }
})

test('Every setting has sentences, and a default that is not blank', () => {
  for (const { name, about, preset, whenUnset } of ROWS) {
    assert.match(about, /^[A-Z"a-z].*\.$/, name)
    const words = preset ?? whenUnset ?? ''
    assert.match(words, /^\S.*[^.\s]$|^\S$/, name)
    assert.notEqual(words, 'undefined', name)
  }
})

test('Every number has a unit or no dimension, and says its bounds', () => {
  const defaults = loadConfig({})
  for (const [name, value] of Object.entries(defaults)) {
    const row = ROWS.find((other) => other.name === name)
    if (typeof value !== 'number' || row === undefined) continue
    assert.match(row.allowed ?? '', /\d/, name)
    if (name !== 'PORT' && name !== 'RENDER_CONCURRENCY' && !name.endsWith('_BYTES')) assert.ok(row.unit, name)
    if (name.endsWith('_SECONDS')) assert.equal(row.unit, 'seconds', name)
  }
})

const STATED = {
  STORE: { preset: 'file:./data', allowed: 'file:<folder> or s3://<bucket>' },
  PORT: { preset: '8080', allowed: 'whole number from 0 to 65535' },
  SIZE_POLICY: { preset: 'open', allowed: 'open, list, steps or signed' },
  S3_FORCE_PATH_STYLE: { preset: 'true', allowed: 'true or false' },
  CACHE_MAX_IDLE_DAYS: { preset: '30', allowed: 'whole number, at least 2', unit: 'days' },
  CACHE_MAX_BYTES: { whenUnset: '10 % of the disk', allowed: 'bytes, such as 1048576, 64M or 2G' },
  MAX_UPLOAD_BYTES: { preset: '64 MiB', allowed: 'bytes, such as 1048576, 64M or 2G' },
  RENDER_WAIT_MAX_SECONDS: { preset: '15', allowed: 'number, at least 0.1', unit: 'seconds' },
  RENDER_CONCURRENCY: { whenUnset: 'the number of CPU cores' },
  INPUT_FORMATS: { preset: 'jpeg png webp avif gif' },
} as const
for (const [name, stated] of Object.entries(STATED)) {
  test(`The help of ${name} states ${Object.values(stated).join('; ')}`, () => {
    assert.partialDeepStrictEqual(
      ROWS.find((row) => row.name === name),
      stated,
    )
  })
}
