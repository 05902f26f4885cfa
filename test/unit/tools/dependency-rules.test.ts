import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ruleBreaches } from '../../../tools/checks/dependency-rules.ts'

const MANIFEST = { dependencies: { koa: '3.3.0' } }
const GOOD = { version: '3.3.0', license: 'MIT', integrity: 'sha512-abc' }
const lock = (more: object) => ({ packages: { '': {}, 'node_modules/koa': { ...GOOD, ...more } } })

test('A package that keeps the rules is no breach, and one for development may do as it likes', () => {
  assert.deepEqual(ruleBreaches(MANIFEST, lock({})), [])
  assert.deepEqual(ruleBreaches(MANIFEST, lock({ dev: true, license: 'UNLICENSED', hasInstallScript: true })), [])
  assert.deepEqual(ruleBreaches(MANIFEST, lock({ license: 'Apache-2.0 AND MIT' })), [])
})

test('Each broken rule is named with its package', () => {
  assert.deepEqual(ruleBreaches({ dependencies: { koa: '^3.3.0' } }, lock({})), [
    'koa: "^3.3.0" should be one exact version',
  ])
  assert.deepEqual(ruleBreaches(MANIFEST, lock({ license: 'SSPL-1.0', integrity: 'sha1-x', hasInstallScript: true })), [
    'koa: the licence SSPL-1.0 is not on our list',
    'koa: no SHA-512 says which bytes it has',
    'koa: it runs a script when it is installed',
  ])
  assert.deepEqual(
    ruleBreaches(MANIFEST, { packages: { 'node_modules/a/node_modules/@b/c': { ...GOOD, license: undefined } } }),
    ['@b/c: the licence none is not on our list'],
  )
})
