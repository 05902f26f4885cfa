import { destination, type Logger, pino } from 'pino'

export type Log = Logger

/**
 * JSON lines on standard output. Lines are written in bundles; `flush` writes what is left.
 * @param level Least level that is written.
 */
export function createLog(level: string): { readonly log: Log; flush(): void } {
  const stream = destination({ fd: 1, sync: false, minLength: 4096, periodicFlush: 500 })
  const log = pino(
    {
      level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    stream,
  )
  return { log, flush: () => stream.flushSync() }
}
