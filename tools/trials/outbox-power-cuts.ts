import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createFileStore } from '../../src/adapters/file-store/file-store.ts'
import { OUTBOX_PREFIX, parseBatch } from '../../src/domain/stored/outbox-batch.ts'
import { readText } from '../../src/service/tools/small-object.ts'
import { MANY_ROUNDS, readControl, writeControlUntil } from '../crash/control-files.ts'
import { mountCutDisk } from '../crash/cut-disk.ts'
import { inScope, type Scope } from '../processes/scope.ts'
import { numberOf } from './trial-record.ts'
import { claim, count, type TrialFigure } from './trial-report.ts'
import { startUploaders } from './uploaders.ts'

const SHORTEST_MS = 300
const LONGEST_MS = 2000
const IN_FLIGHT = 64
const WRITERS = 2
const never = new AbortController().signal

interface Found {
  readonly numbers: ReadonlySet<number>
  readonly batches: number
  readonly damaged: number
}

/** The events of a file store. */
async function readOutbox(folder: string): Promise<Found> {
  const store = createFileStore(folder, { readOnly: true })
  const numbers = new Set<number>()
  let [batches, damaged] = [0, 0]
  for await (const key of store.list(OUTBOX_PREFIX, '', never)) {
    const batch = parseBatch((await readText(store, key, never)) ?? '')
    batches += 1
    if (!batch.isComplete || batch.damaged.length > 0) damaged += 1
    for (const { subject } of batch.events) numbers.add(numberOf(subject))
  }
  return { numbers, batches, damaged }
}

/** Cuts the power of the disk of a file store while events are written: those that were acknowledged before a cut are there after it. */
export async function cutPower(rounds: number, random: () => number): Promise<readonly TrialFigure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-power-'))
  try {
    return await inScope((scope) => cutPowerOf(scope, folder, { rounds, random }))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Cuts {
  readonly rounds: number
  readonly random: () => number
}

async function cutPowerOf(scope: Scope, folder: string, { rounds, random }: Cuts): Promise<readonly TrialFigure[]> {
  const disk = await mountCutDisk(scope, folder)
  const path = join(disk.path, 'store')
  await mkdir(path)
  const acknowledged = new Set<number>()
  const uploaders = startUploaders(scope, {
    writers: WRITERS,
    inFlight: IN_FLIGHT,
    env: { STORE: `file:${path}` },
    onAcknowledged: (number) => void acknowledged.add(number),
  })
  const life = { over: false }
  const control = writeControlUntil(life, disk.path)
  const uploads = uploaders.upload(Number.MAX_SAFE_INTEGER)
  const sums = { acknowledged: 0, lost: 0, damaged: 0, batches: 0, control: 0, controlDamaged: 0 }
  while (acknowledged.size === 0) await Promise.race([control, uploads, delay(SHORTEST_MS)])
  for (let round = 1; round <= rounds; round += 1) {
    await Promise.race([control, uploads, delay(SHORTEST_MS + (random() % (LONGEST_MS - SHORTEST_MS)))])
    const before = [...acknowledged]
    await inScope(async (until) => {
      const place = await disk.cut(until, `cut-${round}`)
      const found = await readOutbox(join(place, 'store'))
      const files = await readControl(place)
      sums.acknowledged = before.length
      sums.lost += before.filter((number) => !found.numbers.has(number)).length
      sums.damaged += found.damaged
      sums.batches = found.batches
      sums.control += files.files
      sums.controlDamaged += files.damaged
    })
  }
  life.over = true
  await control
  return [
    claim(
      `power cuts of a file store's disk, ${rounds}: events that were acknowledged before one and are missing`,
      `${count(sums.lost)} of ${count(sums.acknowledged)}`,
      '0',
      sums.lost === 0 && sums.acknowledged > 0,
    ),
    claim('damaged batches after them', `${count(sums.damaged)} of ${count(sums.batches)}`, '0', sums.damaged === 0),
    claim(
      'files beside them, written without a sync, that the cuts damaged',
      `${count(sums.controlDamaged)} of ${count(sums.control)}`,
      'some, after ten cuts',
      sums.controlDamaged > 0 || rounds < MANY_ROUNDS,
    ),
  ]
}
