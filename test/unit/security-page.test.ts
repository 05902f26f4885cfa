import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { z } from 'zod'

const ROOT = new URL('../../', import.meta.url)
const PAGE = readFileSync(new URL('docs/security.md', ROOT), 'utf8')
const TESTS = readFileSync(new URL('docs/security-tests.md', ROOT), 'utf8')
const SHOWN = TESTS.split(/^## /m).find((section) => section.startsWith('Tests by attack')) ?? ''

for (const [name, page] of [
  ['docs/security.md', PAGE],
  ['docs/security-tests.md', SHOWN],
] as const) {
  test(`Each row of ${name} names a test or a command that is there`, () => assertShown(page))
}

function assertShown(page: string): void {
  const { scripts } = z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')))
  const rows = page.split('\n').filter((line) => /^\| (?!guarantee \||attack \||\*\*|---)/.test(line))
  assert.ok(rows.length > 20)
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
}

test('Each boundary says what is not guaranteed', () => {
  const sections = PAGE.split(/^## /m).slice(1)
  assert.equal(sections.length, 9)
  for (const section of sections) assert.match(section, /^\*\*Not guaranteed\.\*\* /m, section.split('\n')[0])
})
