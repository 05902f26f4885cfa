import { destination, type Logger, pino } from 'pino'

export type Log = Logger

/** Maximum bytes of lines that wait for a slow reader of standard output; later lines are dropped. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024

/**
 * JSON lines on standard output, written in batches; `flush` writes the rest. A slow reader does not block the node:
 * lines are dropped and counted.
 * @param level Minimum level.
 */
export function createLog(level: string): { readonly log: Log; flush(): void } {
  const stream = destination({
    fd: 1,
    sync: false,
    minLength: 12 * 1024,
    periodicFlush: 500,
    maxLength: MAX_WAITING_BYTES,
  })
  // The stream measures its whole buffer at each write, which costs more than formatting the line: so it gets the lines
  // of one turn of the event loop at once.
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

/** The current time for pino. Formatting it costs as much as the rest of a line, so it is cached for a millisecond. */
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
