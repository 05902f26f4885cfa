import { destination, type Logger, pino } from 'pino'

export type Log = Logger

/**
 * JSON lines on standard output. Lines are written in bundles; `flush` writes what is left.
 * @param level Least level that is written.
 */
export function createLog(level: string): { readonly log: Log; flush(): void } {
  const stream = destination({ fd: 1, sync: false, minLength: 4096, periodicFlush: 500 })
  // The stream measures all that it holds at each write, which cost more than making the line: so it gets what one turn
  // of the event loop has logged at once.
  let lines = ''
  const hand = () => {
    stream.write(lines)
    lines = ''
  }
  const bundle = {
    write(line: string) {
      if (lines === '') setImmediate(hand)
      lines += line
    },
  }
  const log = pino(
    {
      level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      timestamp: createTimestamp(),
    },
    bundle,
  )
  return {
    log,
    flush() {
      hand()
      stream.flushSync()
    },
  }
}

/** The current time as pino wants it; formatting it is as dear as the rest of a line, so each millisecond is once. */
function createTimestamp(): () => string {
  let formattedMs = 0
  let formatted = ''
  return () => {
    const nowMs = Date.now()
    if (nowMs !== formattedMs) {
      formattedMs = nowMs
      formatted = `,"time":"${new Date(nowMs).toISOString()}"`
    }
    return formatted
  }
}
