import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ACCEPT_CLASSES, OUTPUT_FORMATS } from '../../../../src/domain/spec/image-format.ts'
import { formatSpec, parseSpec } from '../../../../src/domain/spec/spec.ts'
import {
  defaultMemoryCache,
  formatOfFile,
  negotiatedFile,
  negotiatedFormats,
  originalFile,
  renditionFile,
  renditionFolder,
} from '../../../../src/domain/stored/cache-layout.ts'

const ID = '3f2a'.padEnd(40, '0')
const LONGEST = parseSpec(
  '999999w999999h,contain,bottomright,3.75x,q100,up,bgffffff,rot270,flip,flop,gray,blur49.99,sharpen,still',
)

test('All renditions of an image are in one folder, apart from its original', () => {
  assert.equal(renditionFolder(ID), `image/3f/2a/${ID}`)
  assert.equal(originalFile(ID), `image/3f/2a/${ID}`)
  assert.equal(renditionFile('400w', 'webp'), '400w.webp')
  assert.equal(negotiatedFile('400w', 'avif', 'webp'), '400w.auto-avif.webp')
})

test('No two renditions of an image share a file, and each name tells its format', () => {
  const names = OUTPUT_FORMATS.map((format) => renditionFile('400w', format))
  for (const accepted of ACCEPT_CLASSES) {
    names.push(...negotiatedFormats(accepted).map((format) => negotiatedFile('400w', accepted, format)))
  }
  assert.equal(new Set(names).size, names.length)
  for (const name of names) assert.ok(formatOfFile(name) && name.endsWith(`.${formatOfFile(name)}`))
  for (const name of ['400w', '400w.svg', 'webp', '400w.jpeg']) assert.equal(formatOfFile(name), undefined)
})

test('The longest name is one that every file system takes', () => {
  assert.ok(negotiatedFile(formatSpec(LONGEST), 'other', 'webp').length < 200)
})

const MIB = 2 ** 20

test('The in-memory cache of a small container leaves room for the rest of the node', () => {
  for (const [memory, cache] of [
    [256, 16],
    [512, 32],
    [2048, 128],
    [64 * 1024, 128],
  ] as const) {
    assert.equal(defaultMemoryCache(memory * MIB), cache * MIB, `${memory} MiB`)
  }
})
