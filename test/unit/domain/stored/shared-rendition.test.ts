import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  firstCurrentDay,
  lifecycleDays,
  openRendition,
  sealRendition,
  sharedRenditionFolders,
  sharedRenditionKey,
} from '../../../../src/domain/stored/shared-rendition.ts'

const DAY_MS = 86_400_000
const NOON = Date.UTC(2026, 10, 30, 12)
const TERMS = { keepDays: 30, pipeline: 1_600_000_000 }
const idOf = (number: number) => number.toString(16).padStart(40, '0')

const keyOn = (id: string, day: number, terms = TERMS) =>
  sharedRenditionKey(id, '400w.avif', terms, NOON + day * DAY_MS)

test('The key of a rendition names a day, the image, the pipeline and the file', () => {
  assert.match(keyOn(idOf(7), 0), /^renditions\/2026-11-\d\d\/00\/00\/0{39}7\/1600000000-400w\.avif$/)
})

test('A rendition is found under one key for as many days as it is kept, and then under another', () => {
  for (const id of [0, 1, 29, 30, 12_345].map(idOf)) {
    const keys = Array.from({ length: 90 }, (_, day) => keyOn(id, day))
    const runs = new Map<string, number>()
    for (const key of keys) runs.set(key, (runs.get(key) ?? 0) + 1)
    const whole = [...runs.values()].slice(1, -1)
    assert.ok(whole.length >= 2)
    assert.deepEqual(new Set(whole), new Set([30]))
  }
})

test('The periods of images begin on different days', () => {
  const days = new Set(Array.from({ length: 30 }, (_, number) => keyOn(idOf(number), 0).slice(11, 21)))
  assert.equal(days.size, 30)
})

test('A lifecycle rule never deletes a rendition that a node can find, and the sweep none either', () => {
  for (let number = 0; number < 60; number += 1) {
    for (let age = 0; age < 60; age += 1) {
      const isFound = keyOn(idOf(number), 0) === keyOn(idOf(number), age)
      if (isFound) assert.ok(age < lifecycleDays(TERMS.keepDays))
      if (isFound) assert.ok(keyOn(idOf(number), 0) >= firstCurrentDay(TERMS.keepDays, NOON + age * DAY_MS))
    }
  }
})

test('A day before all current periods is swept', () => {
  const isSwept = (age: number) => keyOn(idOf(3), 0) < firstCurrentDay(TERMS.keepDays, NOON + age * DAY_MS)
  assert.equal(isSwept(0), false)
  assert.equal(isSwept(60), true)
})

test('Another pipeline and another file have other keys', () => {
  const one = keyOn(idOf(5), 0)
  assert.notEqual(keyOn(idOf(5), 0, { ...TERMS, pipeline: 1_600_000_002 }), one)
  assert.notEqual(sharedRenditionKey(idOf(5), '400w.webp', TERMS, NOON), one)
})

test('The folders of an image contain its key, also for a node whose clock is half an hour ahead or behind', () => {
  const midnight = Date.UTC(2026, 10, 30)
  for (let number = 0; number < 30; number += 1) {
    const id = idOf(number)
    const folders = sharedRenditionFolders(id, 30, midnight)
    for (const minutes of [-30, 0, 30]) {
      const key = sharedRenditionKey(id, '400w.avif', TERMS, midnight + minutes * 60_000)
      assert.ok(folders.some((folder) => key.startsWith(folder)))
    }
  }
})

test('A sealed rendition opens to itself', () => {
  for (const primed of [true, false]) {
    const rendition = { bytes: Buffer.from('picture'), primed }
    assert.deepEqual(openRendition('400w.avif', sealRendition('400w.avif', rendition)), rendition)
  }
})

test('A sealed rendition that is damaged, cut or under another name does not open', () => {
  const sealed = sealRendition('400w.avif', { bytes: Buffer.from('picture'), primed: true })
  for (const at of sealed.keys()) {
    const damaged = Buffer.from(sealed)
    damaged[at] = (damaged[at] ?? 0) ^ 1
    assert.equal(openRendition('400w.avif', damaged), undefined)
    assert.equal(openRendition('400w.avif', sealed.subarray(0, at)), undefined)
  }
  assert.equal(openRendition('800w.avif', sealed), undefined)
})
