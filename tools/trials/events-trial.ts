import { execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runQuietly } from '../processes/process.ts'
import { cpuSeconds } from '../processes/process-use.ts'
import type { Scope } from '../processes/scope.ts'
import { damageBatch } from './damage-batch.ts'
import { type EventsStage, type EventsTrialOptions, IN_FLIGHT, NODES, setStage, WRITERS } from './events-stage.ts'
import { readWholeFeed } from './read-feed.ts'
import { claim, count, seconds, type TrialFigure } from './trial-report.ts'

const REPLAY = fileURLToPath(new URL('../../scripts/replay', import.meta.url))
const MESSAGE_EVENTS = 200
/** Five million images a day are 58 events per second, 600 at peak. */
const PEAK_PER_SECOND = 600
const LONG_SECONDS = 30
const MANY_EVENTS = 500_000
const POLL_MS = 20
const PROGRESS_MS = 10_000
/** Without any progress. */
const STUCK_MS = 180_000
/** Images whose records exist while the damaged batch is written. */
const RECORDED = 200

/** @param progress Rises while there is progress. @throws Error if it does not for a long time. */
async function until(what: string, isTrue: () => boolean | Promise<boolean>, progress: () => number): Promise<void> {
  let [last, changedAt] = [progress(), performance.now()]
  while (!(await isTrue())) {
    const now = progress()
    if (now !== last) [last, changedAt] = [now, performance.now()]
    if (performance.now() - changedAt > STUCK_MS)
      throw new Error(`Nothing has happened for ${seconds(STUCK_MS)}: ${what}`)
    await delay(POLL_MS)
  }
}

const acknowledged = (stage: EventsStage, number: number): Promise<void> =>
  until(
    `${number} events are acknowledged`,
    () => stage.uploaders.acknowledged >= number,
    () => stage.uploaders.acknowledged,
  )

const delivered = (stage: EventsStage, number: number): Promise<void> =>
  until(
    `${number} events are delivered`,
    () => stage.indexer.subjects.size >= number,
    () => stage.indexer.subjects.size,
  )

async function pin(pids: readonly number[], cores: string): Promise<void> {
  for (const pid of pids)
    await runQuietly('taskset', ['--all-tasks', '--cpu-list', '--pid', cores, String(pid)], process.env)
}

/** 600 events per second, with all writers and nodes on one core. */
async function atPeak(stage: EventsStage): Promise<readonly TrialFigure[]> {
  const { uploaders, nodes, options, lags } = stage
  // Both leases and connections exist.
  await uploaders.upload(PEAK_PER_SECOND)
  await delivered(stage, PEAK_PER_SECOND)
  lags.take()
  const pids = [...uploaders.pids, ...nodes.all.map(({ pid }) => pid)]
  await pin(pids, '0')
  const cpu = async (): Promise<number> =>
    (await Promise.all(pids.map(cpuSeconds))).reduce((sum, each) => sum + each, 0)
  const before = await cpu()
  const began = performance.now()
  const events = Math.min(options.rateSeconds * PEAK_PER_SECOND, options.events >> 2)
  uploaders.setRate(PEAK_PER_SECOND)
  await uploaders.upload(PEAK_PER_SECOND + events)
  const acknowledgedMs = performance.now() - began
  await delivered(stage, PEAK_PER_SECOND + events)
  const deliveredMs = performance.now() - began
  const used = (await cpu()) - before
  uploaders.setRate(undefined)
  await pin(pids, `0-${availableParallelism() - 1}`)
  const { median, most } = lags.take()
  const perSecond = (events / acknowledgedMs) * 1000
  const cores = used / (deliveredMs / 1000)
  return [
    {
      name: `events per second, writers and nodes on one core, for ${seconds(acknowledgedMs)}`,
      value: perSecond.toFixed(0),
      // A short run on a busy machine proves nothing.
      ...(options.rateSeconds >= LONG_SECONDS && {
        wanted: `${PEAK_PER_SECOND}, with at most a core`,
        isMet: perSecond > PEAK_PER_SECOND * 0.95 && cores <= 1,
      }),
    },
    {
      name: 'CPU of these processes',
      value: `${cores.toFixed(2)} cores, ${((used / events) * 1e6).toFixed(0)} µs an event`,
    },
    { name: 'from the acknowledgement to the webhook', value: `median ${seconds(median)}, at most ${seconds(most)}` },
  ]
}

/** Kills and freezes, in random order, during this share of the events. */
async function killAndStop(stage: EventsStage, from: number, to: number): Promise<readonly TrialFigure[]> {
  const { options, random, nodes, uploaders } = stage
  const held: number[] = []
  const faults = {
    writer: () => uploaders.kill(random() % WRITERS),
    async node() {
      const holder = await nodes.holder()
      await nodes.kill(random() % 4 === 0 || holder === undefined ? random() % NODES : holder)
    },
    async stop() {
      let holder: number | undefined
      await until(
        'a node has the lease',
        async () => (holder = await nodes.holder()) !== undefined,
        () => 0,
      )
      const node = nodes.all[holder ?? 0]
      if (node === undefined) return
      const began = performance.now()
      process.kill(node.pid, 'SIGSTOP')
      const { size } = stage.indexer.subjects
      // The frozen node cannot answer.
      await until(
        'another node delivers',
        () => stage.indexer.subjects.size > size + MESSAGE_EVENTS,
        () => 0,
      )
      held.push(performance.now() - began)
      process.kill(node.pid, 'SIGCONT')
    },
  } as const
  const names = [
    ...Array.from({ length: options.kills }, () => ['writer', 'node'] as const).flat(),
    ...Array.from({ length: options.stops }, () => 'stop' as const),
  ]
  const order = names.map((name) => ({ name, at: random() })).toSorted((a, b) => a.at - b.at)
  const goal = (index: number): number => from + Math.floor(((index + 1) * (to - from)) / (order.length + 1))
  let uploads = uploaders.upload(goal(0))
  for (const [index, { name }] of order.entries()) {
    await acknowledged(stage, goal(index) - IN_FLIGHT)
    // So that uploads are in progress.
    uploads = uploaders.upload(goal(index + 1))
    options.say(
      `  ${count(uploaders.acknowledged)} events: ${name === 'stop' ? 'SIGSTOP of the relay' : `kill -9 of a ${name}`}`,
    )
    await faults[name]()
  }
  await uploads
  return [
    { name: 'kill -9 of writers, and of nodes', value: `${options.kills} and ${options.kills}` },
    { name: 'SIGSTOP of the relay: another node delivers after', value: held.map(seconds).join(', ') },
  ]
}

async function storeOutage({ proxy, options, uploaders }: EventsStage, to: number): Promise<readonly TrialFigure[]> {
  if (proxy === undefined || options.outageSeconds === 0) return []
  const before = uploaders.repeated
  options.say(`  ${count(uploaders.acknowledged)} events: the store refuses connections`)
  const uploads = uploaders.upload(to)
  await proxy.setFault({ kind: 'refuse' })
  await delay(options.outageSeconds * 1000)
  await proxy.setFault(undefined)
  const end = performance.now()
  const { acknowledged: stopped } = uploaders
  await until(
    'an event is acknowledged after the outage',
    () => uploaders.acknowledged > stopped,
    () => 0,
  )
  const recoveredMs = performance.now() - end
  await uploads
  return [
    {
      name: `store away for ${options.outageSeconds} s`,
      value: `${count(uploaders.repeated - before)} uploads were refused and repeated; acknowledged again after ${seconds(recoveredMs)}`,
    },
  ]
}

/** The sink is down, and meanwhile a byte of a batch is changed in the store. Then an operator continues the deliveries. */
async function sinkDowntime(stage: EventsStage): Promise<readonly TrialFigure[]> {
  const { options, indexer, uploaders, recording, recorded, store, random, nodes, env } = stage
  const began = performance.now()
  const uploads = uploaders.upload(options.events)
  options.say(`  ${count(uploaders.acknowledged)} events: the sink answers 503`)
  indexer.answer = '503'
  recording.isOn = true
  const since = Date.now()
  await until(
    'images with records',
    () => recorded.size >= RECORDED || uploaders.acknowledged === options.events,
    () => recorded.size,
  )
  recording.isOn = false
  const damaged = await damageBatch(store, { since, isRecorded: (number) => recorded.has(number), random })
  options.say(`  a byte of ${damaged} is changed`)
  await delay(Math.max(0, options.downSeconds * 1000 - (performance.now() - began)))
  indexer.answer = '204'
  await promisify(execFile)(REPLAY, ['indexer'], { env: { ...process.env, ...env } })
  const end = performance.now()
  const waiting = uploaders.acknowledged - indexer.subjects.size
  const goal = uploaders.acknowledged
  await delivered(stage, goal)
  const backlogMs = performance.now() - end
  await uploads
  const reports = await Promise.all(nodes.all.map((node) => node.metric('darkroom_feed_damaged_batches_total')))
  const found = reports.reduce((sum, each) => sum + each, 0)
  return [
    {
      name: `sink down for ${seconds(end - began)}, then scripts/replay`,
      value: `${count(waiting)} events waited, and arrived within ${seconds(backlogMs)}: ${count(Math.round((waiting / backlogMs) * 1000))}/s beside new ones`,
    },
    claim('one byte changed in a batch of the outbox', `${found} damaged batch reported`, 'reported', found >= 1),
  ]
}

/** Many events through the outboxes and the relay, during all these faults. */
export async function tryEvents(scope: Scope, options: EventsTrialOptions): Promise<readonly TrialFigure[]> {
  const { events, kills, say } = options
  const stage = await setStage(scope, options)
  const { uploaders, indexer, nodes, lags } = stage
  const began = performance.now()
  const progress = setInterval(() => {
    say(
      `  ${count(uploaders.acknowledged)} acknowledged, ${count(indexer.subjects.size)} delivered after ${seconds(performance.now() - began)}`,
    )
  }, PROGRESS_MS)
  scope.after(() => clearInterval(progress))
  const figures = [...(await atPeak(stage))]
  const first = uploaders.acknowledged
  const rest = events - first
  figures.push(...(await killAndStop(stage, first, first + Math.floor(rest * 0.6))))
  figures.push(...(await storeOutage(stage, first + Math.floor(rest * 0.7))))
  figures.push(...(await sinkDowntime(stage)))
  await delivered(stage, events)
  clearInterval(progress)
  const tookMs = performance.now() - began
  const duplicates = [...indexer.subjects.values()].reduce((sum, times) => sum + times - 1, 0)
  const inProgress = kills * (IN_FLIGHT + MESSAGE_EVENTS) + options.stops * MESSAGE_EVENTS
  // Of a short run, the faults are a greater share.
  const most = events >= MANY_EVENTS ? events / 1000 : inProgress
  const feed = await readWholeFeed(nodes.all[0]?.url ?? '')
  const dead = (await Promise.all(nodes.all.map((node) => node.metric('darkroom_relay_dead_letters_total')))).reduce(
    (a, b) => a + b,
    0,
  )
  return [
    claim('events acknowledged', count(uploaders.acknowledged), count(events), uploaders.acknowledged === events),
    claim(
      'different events at the webhook',
      count(indexer.subjects.size),
      'none lost',
      indexer.subjects.size === events,
    ),
    claim(
      'duplicates at the webhook',
      `${count(duplicates)} (${((duplicates / events) * 100).toFixed(3)} %)`,
      `at most ${count(Math.round(most))}`,
      duplicates <= most,
    ),
    claim('different events in the feed, read to its end', count(feed.events), 'none lost', feed.events === events),
    { name: 'duplicates in the feed', value: count(feed.duplicates) },
    claim('dead letters', String(dead), '0', dead === 0),
    ...figures,
    {
      name: 'all in all',
      value: `${seconds(tookMs)}; ${count(uploaders.repeated)} uploads repeated; longest lag ${seconds(lags.take().most)}`,
    },
  ]
}
