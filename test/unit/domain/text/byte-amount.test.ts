import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatByteAmount, parseByteAmount } from '../../../../src/domain/text/byte-amount.ts'

const AMOUNTS = {
  '0': 0,
  '1048576': 1_048_576,
  '500M': 524_288_000,
  '10G': 10_737_418_240,
  '1.5k': 1536,
  '2 GiB': 2_147_483_648,
  '3MB': 3_145_728,
  '7B': 7,
} as const
for (const [text, bytes] of Object.entries(AMOUNTS)) {
  test(`${text} is ${bytes} bytes`, () => assert.equal(parseByteAmount(text), bytes))
}

for (const text of ['', 'G', '-1', '1e9', '5%', '10 Gb/s', '1.G', '9999999T', 'NaN']) {
  test(`"${text}" is no amount of bytes`, () => assert.equal(parseByteAmount(text), undefined))
}

const FORMATTED = {
  0: '0 bytes',
  1023: '1023 bytes',
  1536: '1.5 KiB',
  67_108_864: '64 MiB',
  524_288_000: '500 MiB',
  1_610_612_736: '1.5 GiB',
}
for (const [bytes, text] of Object.entries(FORMATTED)) {
  test(`${bytes} bytes are shown as ${text}`, () => assert.equal(formatByteAmount(Number(bytes)), text))
}
