import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../../../src/config/env.ts'
import { atStart, listenTrouble, PassingError } from '../../../src/node/start-trouble.ts'

const PLACE = { name: 'CACHE_DIR', path: '/c', example: '/var/cache/darkroom' } as const
const systemError = (code: string) => Object.assign(new Error(`${code}: it failed, mkdir '/c'`), { code })

test('A port that this user may not have is a mistake in the settings', () => {
  const trouble = listenTrouble(systemError('EACCES'), { HOST: '127.0.0.1', PORT: 80 })
  assert.ok(trouble instanceof ConfigError)
  assert.match(trouble.message, /^PORT: the user of this process has no permission to listen on port 80: .+PORT=8080$/)
})

test('A name of this machine that is not known may be known later', () => {
  for (const code of ['ENOTFOUND', 'EAI_AGAIN', 'EADDRNOTAVAIL']) {
    const trouble = listenTrouble(systemError(code), { HOST: 'node.example', PORT: 8080 })
    assert.ok(trouble instanceof PassingError)
    assert.match(trouble.message, /^HOST: node\.example is not an address of this machine: .+HOST=127\.0\.0\.1/)
  }
})

test('Other failures stay what they are', async () => {
  const full = systemError('ENOSPC')
  assert.equal(listenTrouble(full, { HOST: '::', PORT: 80 }), full)
  await assert.rejects(atStart(PLACE, Promise.reject(full)), full)
  assert.equal(await atStart(PLACE, Promise.resolve(1)), 1)
})
