import { join } from 'node:path'
import { temporaryFolder } from '../servers/site.ts'
import type { RowScope } from './row.ts'
import { terminate } from './under-load.ts'

/** SIGTERM under load, so many times, on one store and one cache. @throws AssertionError as `terminate`. */
export async function terminateAgainAndAgain(scope: RowScope, times: number): Promise<void> {
  const folder = await temporaryFolder(scope)
  const env = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache') }
  let [answers, afterSignal, longestMs] = [0, 0, 0]
  for (let time = 0; time < times; time += 1) {
    const one = await terminate(scope, env)
    answers += one.answers
    afterSignal += one.afterSignal
    longestMs = Math.max(longestMs, one.endedMs)
  }
  scope.says(
    `${times} times: ${answers} requests accepted, ${afterSignal} of them after the signal, all 200; exit after ${longestMs} ms at most`,
  )
}
