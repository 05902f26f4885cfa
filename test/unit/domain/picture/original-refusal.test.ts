import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  brokenOriginal,
  tooManyBytes,
  tooManyFrames,
  tooManyPixels,
} from '../../../../src/domain/picture/original-refusal.ts'

const MIB = 2 ** 20
const MESSAGES = {
  'The original has 70.2 MiB; the limit is 64 MiB (MAX_UPLOAD_BYTES)': tooManyBytes(64 * MIB, 70.2 * MIB),
  'The original has 67108865 bytes; the limit is 67108864 bytes (MAX_UPLOAD_BYTES)': tooManyBytes(
    64 * MIB,
    64 * MIB + 1,
  ),
  'The original has more than 64 MiB, the limit (MAX_UPLOAD_BYTES)': tooManyBytes(64 * MIB),
  'The original has 120.5 MP; the limit is 100 MP (MAX_PIXELS)': tooManyPixels(100e6, 120.5e6, 1),
  'The original has 144 MP over all frames; the limit is 100 MP (MAX_PIXELS)': tooManyPixels(1e8, 144e6, 12),
  'The original has 100000001 pixels; the limit is 100000000 pixels (MAX_PIXELS)': tooManyPixels(1e8, 1e8 + 1, 1),
  'The original has 2 MP; the limit is 900 pixels (MAX_PIXELS)': tooManyPixels(900, 2e6, 1),
  'The original has 600 frames; the limit is 500 (MAX_FRAMES)': tooManyFrames(500, 600),
  'This PNG cannot be decoded: it is damaged or incomplete': brokenOriginal('png', undefined),
  'This image cannot be decoded: it is damaged or incomplete': brokenOriginal(undefined, undefined),
} as const
for (const [text, { message }] of Object.entries(MESSAGES)) {
  test(`A refusal says: ${text}`, () => assert.equal(message, text))
}
