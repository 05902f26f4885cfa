import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgePhase, lastRequestTo, type Phase } from '../../../tools/cluster/change-phases.ts'
import type { Exchange } from '../../../tools/cluster/viewers.ts'

const PHASE: Phase = {
  name: 'kill',
  begun: 1000,
  settled: 5000,
  ended: 30_000,
  excused: { node: 'node2', until: 1000 },
}

const CALM: Phase = { name: 'calm', begun: 0, settled: 0, ended: 1000 }

/** An exchange answered by a node, and its place. */
function exchange(node: string, begun: number, own: Partial<Exchange> = {}) {
  const requestId = `${node} ${begun} ${own.status ?? 200}`
  const plain = {
    requestId,
    path: '/x',
    kind: 'hit',
    begun,
    ended: begun + 10,
    status: 200,
    body: Buffer.alloc(0),
  } as const
  return { exchange: { ...plain, ...own }, place: { node, backend: 'ready', retries: 0 } }
}

function judge(phase: Phase, some: readonly ReturnType<typeof exchange>[]) {
  const judged = {
    phases: [CALM, phase],
    exchanges: some.map((each) => each.exchange),
    places: new Map(some.map((each) => [each.exchange.requestId, each.place] as const)),
    calmMs: 100,
  }
  const areAllMet = [CALM, phase].every((each) => judgePhase(each, judged)[0]?.isMet)
  return { areAllMet, figures: judgePhase(phase, judged), judged }
}

test('Only requests that the failing node had accepted may fail', () => {
  const accepted = exchange('node2', 990, { status: 503, ended: 1020 })
  assert.ok(judge(PHASE, [accepted, exchange('node1', 2000)]).areAllMet)
  for (const bad of [
    exchange('node2', 1500, { status: 503 }),
    exchange('node1', 990, { status: 503, ended: 1020 }),
    exchange('node1', 1500, { status: 0 }),
    exchange('', 1500, { status: 503 }),
    // Before the fault.
    exchange('node2', 500, { status: 503 }),
  ])
    assert.ok(!judge(PHASE, [accepted, bad]).areAllMet, bad.exchange.requestId)
})

test('p99 is judged from ten seconds after the change, and while a fault lasts', () => {
  const views = (from: number, ms: number) =>
    Array.from({ length: 300 }, (_, at) => exchange('node1', from + at, { ended: from + at + ms }))
  const verdicts = (some: readonly ReturnType<typeof exchange>[], phase: Phase = PHASE) =>
    judge(phase, some)
      .figures.slice(1)
      .map(({ isMet }) => isMet)
  assert.deepEqual(verdicts(views(15_001, 100)), [true])
  assert.deepEqual(verdicts(views(15_001, 300)), [false])
  assert.deepEqual(verdicts(views(6000, 300)), [])
  assert.deepEqual(verdicts(views(11_001, 300), { ...PHASE, settled: 25_000, faultEnded: 20_000 }), [false])
})

test('The last request to a frozen node is at most three seconds after it froze', () => {
  const { judged } = judge(PHASE, [exchange('node1', 3900), exchange('node2', 3900), exchange('node1', 9000)])
  assert.equal(lastRequestTo('node2', PHASE, judged).isMet, true)
  assert.equal(lastRequestTo('node1', PHASE, judged).isMet, false)
})
