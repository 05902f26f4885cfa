// Logs lines of 1 KB, as many as the argument says, and tells its parent how much memory that took.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createLog } from '../../src/telemetry/log.ts'

const [, , count = '0'] = process.argv
const { log } = createLog('info')
const text = 'x'.repeat(1000)
for (let number = 0; number < Number(count); number += 1) {
  log.info({ number, text }, 'line')
  if (number % 10 === 9) await nextTurn()
}
process.send?.(process.memoryUsage().rss)
