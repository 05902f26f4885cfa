import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { createS3Store } from '../src/adapters/s3/s3-store.ts'
import { type ImageEvent, storedEvent } from '../src/domain/info/image-event.ts'
import { createEventFeed } from '../src/service/library/event-feed.ts'
import { createOutbox, type Outbox } from '../src/service/library/outbox.ts'
import { inScope } from '../tools/processes/scope.ts'
import { newBucket } from '../tools/s3/s3-bucket.ts'
import type { BenchOptions, BenchReport, Figure } from './measure.ts'

const never = new AbortController().signal
/** Five million images a day are 58 events per second, 600 at peak. */
const PEAK_PER_SECOND = 600
const TICK_MS = 10
const MOST_WAITING = 256
const DAY_MS = 86_400_000

let made = 0

/** The event of another image of usual size. */
function nextEvent(): ImageEvent {
  made += 1
  return storedEvent({
    id: made.toString(16).padStart(40, '0'),
    width: 4000,
    height: 3000,
    format: 'jpeg',
    bytes: 2_345_678,
    alpha: false,
    frames: 1,
    uploadedAt: new Date(1_800_000_000_000 + made).toISOString(),
    labels: ['news', 'agency'],
    name: `DSC_${made}.JPG`,
    source: 'agency/sport',
  })
}

interface Measured {
  readonly events: number
  readonly puts: number
  readonly cpuMicros: number
  readonly seconds: number
}

async function measure(outbox: Outbox, work: () => Promise<void>): Promise<Measured> {
  const before = outbox.counters
  const cpu = process.cpuUsage()
  const began = performance.now()
  await work()
  const { user, system } = process.cpuUsage(cpu)
  const { events, batches } = outbox.counters
  return {
    events: events - before.events,
    puts: batches - before.batches,
    cpuMicros: user + system,
    seconds: (performance.now() - began) / 1000,
  }
}

async function oneByOne(outbox: Outbox, count: number): Promise<void> {
  for (let done = 0; done < count; done += 1) await outbox.report(nextEvent(), never)
}

/** Arrivals at a constant rate, whatever the store does. */
async function atPeak(outbox: Outbox, seconds: number): Promise<void> {
  const began = performance.now()
  const reports: Promise<void>[] = []
  while (performance.now() - began < seconds * 1000) {
    const due = Math.floor(((performance.now() - began) / 1000) * PEAK_PER_SECOND)
    while (reports.length < due) reports.push(outbox.report(nextEvent(), never))
    await delay(TICK_MS)
  }
  await Promise.all(reports)
}

async function atMost(outbox: Outbox, count: number): Promise<void> {
  let left = count
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await outbox.report(nextEvent(), never)
    }
  }
  await Promise.all(Array.from({ length: MOST_WAITING }, client))
}

const perEvent = ({ cpuMicros, events }: Measured): number => cpuMicros / events
const figure = (name: string, value: number, unit: string, wanted?: string): Figure => ({
  name,
  value,
  unit,
  ...(wanted !== undefined && { wanted }),
})

/** CPU of this process and puts for events that are written to the S3 server of the tests, and read from its feed. */
export async function benchEvents({ smoke }: BenchOptions): Promise<BenchReport> {
  return await inScope(async (scope) => {
    const store = createS3Store(await newBucket())
    scope.after(store.close)
    const meter = { trouble: (message: string) => assert.fail(message) }
    const now = () => Date.now()
    const outbox = createOutbox({ store, meter, now, node: '0000000a' })
    await oneByOne(outbox, smoke ? 1 : 200)
    const single = await measure(outbox, () => oneByOne(outbox, smoke ? 5 : 500))
    const peak = await measure(outbox, () => atPeak(outbox, smoke ? 0.2 : 10))
    const most = await measure(outbox, () => atMost(outbox, smoke ? 300 : 50_000))
    const feed = createEventFeed({ store, meter, now, keepMs: DAY_MS })
    const read = { events: 0, cpu: process.cpuUsage() }
    for (let after = '', isMore = true; isMore; ) {
      const page = await feed.read({ after, limit: 1000, waitMs: 0 }, never)
      read.events += page.events.length
      isMore = page.events.length > 0
      after = page.cursor
    }
    assert.equal(read.events, outbox.counters.events)
    const { user, system } = process.cpuUsage(read.cpu)
    const figures = [
      figure('CPU for one event alone, with its put', perEvent(single), 'µs', '≤ 3000'),
      figure(`CPU for one of ${PEAK_PER_SECOND} events per second`, perEvent(peak), 'µs', '≤ 300'),
      figure('Puts per second of these', peak.puts / peak.seconds, '/s'),
      figure('Share of a core of these', peak.cpuMicros / peak.seconds / 1e6, 'cores', '≤ 0.2'),
      figure(`Events per second, ${MOST_WAITING} at once`, most.events / most.seconds, '/s', `≥ ${PEAK_PER_SECOND}`),
      figure('CPU for one of these', perEvent(most), 'µs'),
      figure('CPU for one event read from the feed', (user + system) / read.events, 'µs'),
    ]
    return { figures, raw: { single, peak, most, read: read.events } }
  })
}
