import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERROR_STATUS, OVERLOADED, SERVER_ERRORS } from '../../../../src/http/answer/error-response.ts'

test('An error of nginx has the status that the app gives its code', () => {
  const statusOf = new Map<string, number>(Object.entries(ERROR_STATUS))
  const shared = Object.entries(SERVER_ERRORS).filter(([, { code }]) => statusOf.has(code))
  assert.ok(shared.length >= 7)
  for (const [status, { code }] of shared) assert.equal(Number(status), statusOf.get(code), code)
  assert.equal(statusOf.get(OVERLOADED.code), 503)
})
