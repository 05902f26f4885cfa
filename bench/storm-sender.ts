// A process that requests ids that do not exist, at a rate: its first argument is a `StormPlan`, in JSON. It prints a `Storm`.
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Storm, StormPlan, UNKNOWN_PREFIX } from './storm-plan.ts'

const TICK_MS = 5
/** Requests that are sent at once on a connection (pipelining): a system call for each would cost more than nginx's answer. */
const BATCH = 5
/** Connections at most: those whose answers are late are not used again before. */
const MAX_CONNECTIONS = 2000
/** What has not been answered by then is not counted. */
const LAST_ANSWERS_MS = 5000
const STATUS_LINE = /HTTP\/1\.1 (\d{3})/g
/** The rest of a chunk may hold the beginning of a status line. */
const STATUS_LINE_LENGTH = 12

async function main(argument: string): Promise<void> {
  const plan = StormPlan.parse(JSON.parse(argument))
  const statuses = new Map<number, number>()
  const lines: ReturnType<typeof createLine>[] = []
  const newLine = () => createLine(plan, plan.addresses[lines.length % plan.addresses.length] ?? '', statuses)
  while (lines.length < Math.max(plan.connections, plan.addresses.length)) lines.push(newLine())
  const began = performance.now()
  const cpu = process.cpuUsage()
  let sent = 0
  for (let turn = 0; ; ) {
    const elapsedMs = performance.now() - began
    if (elapsedMs >= plan.seconds * 1000) break
    const due = Math.floor((elapsedMs / 1000) * plan.perSecond)
    const batches = Math.floor((due - sent) / BATCH)
    for (let batch = 0; batch < batches; batch += 1) {
      const from = plan.first + sent
      for (let busy = 0; busy < lines.length && lines[turn % lines.length]?.isBusy; busy += 1) turn += 1
      if (lines[turn % lines.length]?.isBusy && lines.length < MAX_CONNECTIONS) turn = lines.push(newLine()) - 1
      lines[turn % lines.length]?.send(Array.from({ length: BATCH }, (_, index) => unknownId(from + index)))
      turn += 1
      sent += BATCH
    }
    await delay(TICK_MS)
  }
  const seconds = (performance.now() - began) / 1000
  const answers = () => [...statuses.values()].reduce((sum, count) => sum + count, 0)
  const deadline = performance.now() + LAST_ANSWERS_MS
  while (answers() < sent && performance.now() < deadline) await delay(TICK_MS)
  for (const line of lines) line.close()
  const { user, system } = process.cpuUsage(cpu)
  const result: Storm = { sent, seconds, statuses: [...statuses], cpuSeconds: (user + system) / 1e6 }
  process.stdout.write(JSON.stringify(result))
}

function unknownId(number: number): string {
  return `${UNKNOWN_PREFIX}${number.toString(16).padStart(40 - UNKNOWN_PREFIX.length, '0')}`
}

function createLine({ host, port }: StormPlan, localAddress: string, statuses: Map<number, number>) {
  let socket: Socket | undefined
  let rest = ''
  /** Requests without an answer. */
  let open = 0

  function begin(): Socket {
    const opened = connect({ host, port, localAddress, noDelay: true })
    rest = ''
    open = 0
    opened.on('data', (chunk: Buffer) => {
      const text = rest + chunk.toString('latin1')
      let end = 0
      for (const match of text.matchAll(STATUS_LINE)) {
        const status = Number(match[1])
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        open -= 1
        end = match.index + match[0].length
      }
      rest = text.slice(Math.max(end, text.length - STATUS_LINE_LENGTH + 1))
    })
    opened.on('error', () => opened.destroy())
    opened.on('close', () => {
      if (socket !== opened) return
      socket = undefined
      open = 0
    })
    return opened
  }

  return {
    send(ids: readonly string[]) {
      socket ??= begin()
      open += ids.length
      socket.write(ids.map((id) => `GET /image/${id}/400w/x.webp HTTP/1.1\r\nHost: bench\r\n\r\n`).join(''))
    },
    get isBusy() {
      return open > 0
    },
    close: () => socket?.destroy(),
  }
}

await main(process.argv[2] ?? '')
