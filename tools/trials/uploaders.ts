import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Scope } from '../processes/scope.ts'
import { stopAfter } from '../servers/site.ts'

const WRITER = fileURLToPath(new URL('outbox-writer.ts', import.meta.url))
const RETRY_MS = 250
const TICK_MS = 10
/** Of a writer, beside a constant rate. */
const MOST_IN_FLIGHT = 400

export interface UploadersOptions {
  readonly writers: number
  /** Events of each writer that wait for their acknowledgement, without a constant rate. */
  readonly inFlight: number
  /** Settings of the store. */
  readonly env: Readonly<Record<string, string>>
  readonly onAcknowledged?: (number: number) => void
  /** Whether the record of the image is stored too. */
  readonly hasRecord?: (number: number) => boolean
}

/** Clients that upload images, one number each, to several writers, and repeat what was not acknowledged. */
export interface Uploaders {
  /** Uploads the next images up to this number, exclusive; resolves when each one is acknowledged. */
  upload(end: number): Promise<void>
  /** Begins so many uploads per second from now on; undefined: as many as the writers take. */
  setRate(perSecond: number | undefined): void
  readonly acknowledged: number
  /** Uploads that were sent again, after an error or the end of a writer. */
  readonly repeated: number
  readonly pids: readonly number[]
  /** SIGKILL; another writer replaces it at once. */
  kill(index: number): void
}

interface Writer {
  readonly child: ChildProcess
  readonly inFlight: Set<number>
}

export function startUploaders(scope: Scope, options: UploadersOptions): Uploaders {
  const { onAcknowledged, hasRecord } = options
  const writers: Writer[] = []
  const again: number[] = []
  let [next, end, acknowledged, repeated, isOver] = [0, 0, 0, 0, false]
  let pace: { readonly perSecond: number; readonly since: number; readonly first: number } | undefined
  let done = Promise.withResolvers<void>()

  function nextNumber(): number | undefined {
    const refused = again.shift()
    if (refused !== undefined) return refused
    const due = pace ? pace.first + ((performance.now() - pace.since) / 1000) * pace.perSecond : Infinity
    if (next >= Math.min(end, due)) return undefined
    next += 1
    return next - 1
  }

  function pump(): void {
    const most = pace ? MOST_IN_FLIGHT : options.inFlight
    const free = writers.filter(({ child, inFlight }) => inFlight.size < most && child.stdin?.writable)
    const lines = new Map(free.map((writer) => [writer, '']))
    for (let turn = 0; free.length > 0; turn += 1) {
      const writer = free[turn % free.length]
      const number = writer === undefined ? undefined : nextNumber()
      if (writer === undefined || number === undefined) break
      writer.inFlight.add(number)
      lines.set(writer, `${lines.get(writer)}${number}${hasRecord?.(number) ? ' record' : ''}\n`)
      if (writer.inFlight.size >= most) free.splice(free.indexOf(writer), 1)
    }
    for (const [{ child }, text] of lines) if (text !== '') child.stdin?.write(text)
  }

  async function repeat(numbers: readonly number[]): Promise<void> {
    repeated += numbers.length
    await delay(RETRY_MS)
    again.push(...numbers)
    pump()
  }

  function answered({ inFlight }: Writer, line: string): void {
    const number = Math.abs(Number(line))
    if (!inFlight.delete(number)) return
    if (line.startsWith('-')) {
      void repeat([number])
      return
    }
    acknowledged += 1
    onAcknowledged?.(number)
    if (acknowledged === end) done.resolve()
  }

  function start(index: number): void {
    const child = spawn(process.execPath, [WRITER], {
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const writer = { child, inFlight: new Set<number>() }
    writers[index] = writer
    // What is written to a process that was killed is repeated.
    child.stdin.on('error', () => {})
    createInterface({ input: child.stdout })
      .on('line', (line) => (line === 'ready' ? undefined : answered(writer, line)))
      .on('line', pump)
    child.once('close', () => {
      if (isOver) return
      void repeat([...writer.inFlight])
      start(index)
    })
  }

  for (let index = 0; index < options.writers; index += 1) start(index)
  const ticks = setInterval(pump, TICK_MS)
  stopAfter(scope, async () => {
    isOver = true
    clearInterval(ticks)
    await Promise.all(
      writers.map(async ({ child }) => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const closed = once(child, 'close')
        child.kill('SIGKILL')
        await closed
      }),
    )
  })

  return {
    async upload(until) {
      end = until
      done = Promise.withResolvers()
      if (acknowledged === end) done.resolve()
      pump()
      await done.promise
    },
    setRate(perSecond) {
      pace = perSecond === undefined ? undefined : { perSecond, since: performance.now(), first: next }
    },
    get acknowledged() {
      return acknowledged
    },
    get repeated() {
      return repeated
    },
    get pids() {
      return writers.flatMap(({ child }) => child.pid ?? [])
    },
    kill(index) {
      writers[index]?.child.kill('SIGKILL')
    },
  }
}
