import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { z } from 'zod'

const ROOT = new URL('../../', import.meta.url)
const PAGE = readFileSync(new URL('docs/security.md', ROOT), 'utf8')

test('Each promise of docs/security.md names a test or a command that is there', () => {
  const { scripts } = z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')))
  const rows = PAGE.split('\n').filter((line) => /^\| (?!promised \||---)/.test(line))
  assert.ok(rows.length > 30)
  for (const row of rows) {
    const proofs = [...(row.split(' | ').at(-1) ?? '').matchAll(/`(?<proof>[^`]+)`/g)].map(
      ({ groups }) => groups?.['proof'],
    )
    assert.ok(proofs.length > 0, row)
    for (const proof of proofs) {
      const script = /^npm run (?<name>\S+)$/.exec(proof ?? '')?.groups?.['name']
      const isThere = script === undefined ? existsSync(new URL(proof ?? '', ROOT)) : scripts[script] !== undefined
      assert.ok(isThere, `${proof} of ${row}`)
    }
  }
})

test('Each boundary says what is not promised', () => {
  const sections = PAGE.split(/^## /m).slice(1)
  assert.equal(sections.length, 9)
  for (const section of sections) assert.match(section, /^\*\*Not promised\.\*\* /m, section.split('\n')[0])
})
