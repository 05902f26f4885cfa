// A process that asks: its first argument is the file of a `GeneratorPlan`, its second the file for what it has seen.
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { createRandom } from '../tools/pictures/seeded-random.ts'
import { type Connections, createConnections } from './generator-connection.ts'
import { type Generated, GeneratorPlan, type Sample, type Segment } from './generator-plan.ts'

async function main([planFile = '', resultFile = '']: readonly string[]): Promise<void> {
  const plan = GeneratorPlan.parse(JSON.parse(await readFile(planFile, 'utf8')))
  const connections = createConnections(plan.port, plan.from)
  const began = performance.now()
  const cpu = process.cpuUsage()
  const ask = createAsker(connections, plan.paths, began)
  if ('clients' in plan.load) await closedLoop(plan.load.clients, plan.load.seconds, ask)
  else await openLoop(plan.load.segments, plan.load.seed, ask)
  const samples = await ask.all()
  connections.close()
  const { user, system } = process.cpuUsage(cpu)
  const result: Generated = { samples, cpuSeconds: (user + system) / 1e6 }
  await writeFile(resultFile, JSON.stringify(result))
}

interface Asker {
  /** @param atMs When it was to be asked, since the beginning: what comes late because this process is late counts. */
  (atMs: number): Promise<void>
  readonly nowMs: () => number
  /** When all have been answered. */
  all(): Promise<readonly Sample[]>
}

function createAsker(connections: Connections, paths: readonly string[], began: number): Asker {
  const samples: Sample[] = []
  const running = new Set<Promise<void>>()
  let turn = 0
  const nowMs = () => performance.now() - began
  const ask = async (atMs: number): Promise<void> => {
    const path = paths[turn % paths.length] ?? '/'
    turn += 1
    const work = connections.get(path).then(
      ({ status, retryAfter }) => void samples.push([atMs, nowMs() - atMs, status, retryAfter]),
      () => void samples.push([atMs, nowMs() - atMs, 0, false]),
    )
    running.add(work)
    await work
    running.delete(work)
  }
  return Object.assign(ask, {
    nowMs,
    async all() {
      await Promise.all(running)
      return samples
    },
  })
}

async function closedLoop(clients: number, seconds: number, ask: Asker): Promise<void> {
  const view = async () => {
    while (ask.nowMs() < seconds * 1000) await ask(ask.nowMs())
  }
  await Promise.all(Array.from({ length: clients }, view))
}

/** Requests come by themselves, as those of many viewers do: independent of each other, and whether or not answers come. */
async function openLoop(segments: readonly Segment[], seed: number, ask: Asker): Promise<void> {
  const random = createRandom(seed)
  let at = 0
  let end = 0
  for (const { requestsPerSecond, seconds } of segments) {
    end += seconds * 1000
    for (;;) {
      at += (-Math.log((random() + 1) / 2 ** 32) * 1000) / requestsPerSecond
      if (at >= end) break
      // Several may be due at once, as timers are late by a millisecond or so.
      const early = at - ask.nowMs()
      if (early > 0) await delay(early)
      void ask(at)
    }
    at = end
  }
}

await main(process.argv.slice(2))
