import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { assertPicture } from '../pictures/picture.ts'
import { assertUnavailable, filesBelow, logged } from '../requests/ask.ts'
import type { Fault } from '../servers/fault-proxy.ts'
import type { FaultRow, RowScope } from './row.ts'
import { assertRecovers, setStage } from './stage.ts'

const READS = { method: /^GET$/, path: /\/originals\// } as const
/** Of the about 360,000 bytes of the original. */
const AT_BYTE = 50_000

interface Damage {
  readonly fault: Fault
  readonly withinMs: number
  readonly logsId?: boolean
}

/** Damaged once it is shown all the same; damaged for good it is a 503, and nothing of it is kept. */
function damaged({ fault, withinMs, logsId = false }: Damage): (scope: RowScope) => Promise<void> {
  return async (scope) => {
    const stage = await setStage(scope)
    const { node, proxy, url, fresh } = stage
    await proxy.setFault({ ...fault, matching: { ...READS, first: 1 } })
    const once = await scope.tally.ask(stage.freshUrl)
    assert.equal(once.status, 200, once.body.toString())
    await assertPicture(once.body, { format: 'jpeg', width: 40 })
    await rm(join(node.cacheDir, 'originals'), { recursive: true })

    const before = await filesBelow(join(node.cacheDir, 'renditions'))
    await proxy.setFault({ ...fault, matching: READS })
    proxy.requests.length = 0
    const failed = await Promise.all([
      scope.tally.ask(`${url}/image/${fresh.id}/50w/x.jpg`),
      scope.tally.ask(`${url}/image/${fresh.id}/50w`),
      scope.tally.ask(stage.knownUrl),
    ])
    const [explicit, negotiated, cached] = failed
    for (const answer of [explicit, negotiated]) {
      assertUnavailable(answer, /^store_unavailable$/)
      assert.ok(answer.ms < withinMs, `${answer.ms} ms`)
    }
    assert.equal(cached.status, 200)
    const reads = proxy.requests.filter((request) => /^GET .*\/originals\//.test(request)).length
    assert.equal(reads, 2)
    assert.deepEqual(await filesBelow(join(node.cacheDir, 'renditions')), before)
    assert.deepEqual(await filesBelow(join(node.cacheDir, 'originals')), [])
    if (logsId) await logged(node, ({ level, msg }) => level === 'warn' && String(msg).includes(fresh.id))
    const inLog = logsId ? ', logged with the id' : ''
    const givenUpMs = Math.round(explicit.ms)
    scope.says(
      `once: 200 after ${Math.round(once.ms)} ms; always: ${reads} reads, 503 after ${givenUpMs} ms, nothing cached${inLog}`,
    )
    await proxy.setFault(undefined)
    await assertRecovers(scope, stage)
  }
}

export const DAMAGE_ROWS: readonly FaultRow[] = [
  {
    row: 5,
    fault: 'body truncated',
    what: 'Originals from the store are truncated, once and then always',
    run: damaged({ fault: { kind: 'truncate', afterBytes: AT_BYTE }, withinMs: 2000 }),
  },
  {
    row: 6,
    fault: 'body stalls',
    what: 'Originals from the store stall in the middle, once and then always',
    run: damaged({ fault: { kind: 'stall', afterBytes: AT_BYTE }, withinMs: 11_000 }),
  },
  {
    row: 7,
    fault: 'wrong bytes, headers intact',
    what: 'One bit of every original is flipped in transit, once and then always',
    run: damaged({ fault: { kind: 'flip', atByte: AT_BYTE }, withinMs: 2000, logsId: true }),
  },
]
