import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { cpuSeconds, cpuSecondsAtRest, peakBytesDuring, proportionalBytes } from '../tools/processes/process-use.ts'
import { median } from './measure.ts'
import type { RenderServer } from './render-subjects.ts'
import { type Answer, percentile99 } from './render-views.ts'

const IDLE_WITHIN_MS = 300_000
const SAMPLE_MS = 50
const MB = 1e6

/** A measurement of a server. Only answers with success count as done. */
export interface Load {
  readonly donePerSecond: number
  /** Other answers, rejections among them, and broken connections. */
  readonly failed: number
  /** For one, until the last answer has come. */
  readonly cpuToAnswerMs: number
  /** For one, until the server has nothing left to do. */
  readonly cpuToIdleMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly medianKB: number
  /** Proportional set size of all processes, when idle. */
  readonly idleMB: number
  /** The most of it; absent if nobody watched. */
  readonly peakMB?: number
}

/** @param run Asks for everything. @param watchMemory Looks at the memory all the time, which takes a part of the CPU. */
export async function measureLoad(
  server: Pick<RenderServer, 'pid' | 'isIdle'>,
  run: () => Promise<readonly Answer[]>,
  watchMemory: boolean,
): Promise<{ readonly load: Load; readonly answers: readonly Answer[] }> {
  const { pid } = server
  const before = await cpuSecondsWhenIdle(server)
  let answers: readonly Answer[] = []
  const began = performance.now()
  const work = async (): Promise<void> => {
    answers = await run()
  }
  const peak = watchMemory ? await peakBytesDuring(pid, SAMPLE_MS, work) : await work()
  const seconds = (performance.now() - began) / 1000
  const atAnswer = await cpuSeconds(pid)
  const atIdle = await cpuSecondsWhenIdle(server)
  const done = answers.filter(isDone)
  assert.ok(done.length > 0, `None of ${answers.length} answers is 200: ${answers[0]?.bytes.toString().slice(0, 200)}`)
  const times = done.map(({ ms }) => ms)
  const load = {
    donePerSecond: done.length / seconds,
    failed: answers.length - done.length,
    cpuToAnswerMs: ((atAnswer - before) / done.length) * 1000,
    cpuToIdleMs: ((atIdle - before) / done.length) * 1000,
    p50Ms: median(times),
    p99Ms: percentile99(times),
    medianKB: median(done.map(({ bytes }) => bytes.length)) / 1000,
    idleMB: (await proportionalBytes(pid)) / MB,
    ...(typeof peak === 'number' && { peakMB: peak / MB }),
  }
  return { load, answers }
}

export function isDone({ status }: Answer): boolean {
  return status >= 200 && status < 300
}

/** Asking whether something is pending costs CPU itself, so it is done after the CPU was read. */
async function cpuSecondsWhenIdle({ pid, isIdle }: Pick<RenderServer, 'pid' | 'isIdle'>): Promise<number> {
  const deadline = performance.now() + IDLE_WITHIN_MS
  for (;;) {
    const seconds = await cpuSecondsAtRest(pid)
    if (await isIdle()) return seconds
    assert.ok(performance.now() < deadline, `Process ${pid} has had work in the background for too long`)
    await delay(SAMPLE_MS)
  }
}
