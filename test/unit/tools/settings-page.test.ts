import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Env } from '../../../src/config/env.ts'
import { settingsPage } from '../../../tools/docs/settings-page.ts'

test('The page has one row for every setting, with four cells each', () => {
  const rows = settingsPage().matchAll(/^\| `(?<name>[A-Z\d_]+)` (?<cells>.*)$/gm)
  const names = [...rows].map(({ groups: { name = '', cells = '' } = {} }) => {
    assert.equal(cells.split(/(?<!\\)\|/).length, 5, name)
    return name
  })
  assert.deepEqual(names.toSorted(), Object.keys(Env.shape).toSorted())
})
