import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { jsonFields } from '../../tools/requests/raw-request.ts'

const read = (name: string) => readFile(new URL(`../../${name}`, import.meta.url), 'utf8')

test('The newest version in CHANGELOG.md is that of package.json and of its lockfile', async () => {
  const [, newest] = /^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$/m.exec(await read('CHANGELOG.md')) ?? []
  assert.equal(newest, jsonFields(await read('package.json'))['version'])
  assert.equal(newest, jsonFields(await read('package-lock.json'))['version'])
})
