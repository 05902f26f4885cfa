import { destination, type Logger, pino } from 'pino'

export type Log = Logger

/** Lines that wait for a reader of standard output who has stopped; later ones are dropped. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024

/**
 * JSON lines on standard output. Lines are written in bundles; `flush` writes what is left. Nobody waits for who reads them: what
 * they are too slow for is dropped and counted.
 * @param level Least level that is written.
 */
export function createLog(level: string): { readonly log: Log; flush(): void } {
  const stream = destination({
    fd: 1,
    sync: false,
    minLength: 4096,
    periodicFlush: 500,
    maxLength: MAX_WAITING_BYTES,
  })
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
  let dropped = 0
  stream.on('drop', (bundled: string) => {
    dropped += bundled.split('\n').length - 1
  })
  stream.on('drain', () => {
    if (dropped > 0) log.warn({ dropped }, 'Log lines were dropped because standard output is read too slowly')
    dropped = 0
  })
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
