import assert from 'node:assert/strict'
import type { LookupAddress, LookupOptions } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { test } from 'node:test'
import { createSharedLookup } from '../../../../src/adapters/s3/s3-client.ts'

const ADDRESSES = [
  { address: '192.0.2.1', family: 4 },
  { address: '2001:db8::1', family: 6 },
]

function setUp() {
  const asked: string[] = []
  const answers: PromiseWithResolvers<LookupAddress[]>[] = []
  const shared = createSharedLookup((hostname) => {
    asked.push(hostname)
    const answer = Promise.withResolvers<LookupAddress[]>()
    answers.push(answer)
    return answer.promise
  })
  return { asked, answers, look: lookBy(shared) }
}

test('However many connect at once, the name is asked for once', async () => {
  const { asked, answers, look } = setUp()
  const all = [
    ...Array.from({ length: 64 }, () => look('store.example')),
    look('store.example', { all: true }),
    look('other.example'),
  ]
  assert.deepEqual(asked, ['store.example', 'other.example'])
  for (const answer of answers) answer.resolve(ADDRESSES)
  const found = await Promise.all(all)
  assert.deepEqual(found[0], ['192.0.2.1', 4])
  assert.deepEqual(found[64], [ADDRESSES, undefined])
})

test('A name is asked for anew by who comes later, also after a failure', async () => {
  const { asked, answers, look } = setUp()
  const [first, second] = [look('store.example'), look('store.example')]
  answers[0]?.reject(Object.assign(new Error('queryA ETIMEOUT'), { code: 'ETIMEOUT' }))
  for (const each of [first, second]) await assert.rejects(each, { code: 'ETIMEOUT' })
  const third = look('store.example')
  answers[1]?.resolve(ADDRESSES)
  assert.deepEqual(await third, ['192.0.2.1', 4])
  assert.equal(asked.length, 2)
})

test('The system knows this machine', async () => {
  assert.deepEqual(await lookBy(createSharedLookup())('localhost', { family: 4 }), ['127.0.0.1', 4])
})

/** As a promise of the address and its family. */
function lookBy(lookup: LookupFunction) {
  return (hostname: string, options: LookupOptions = {}): Promise<unknown> => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    lookup(hostname, options, (error, address, family) => {
      if (error) reject(error)
      else resolve([address, family])
    })
    return promise
  }
}
