import { setImmediate as nextTurn } from 'node:timers/promises'
import { collectGarbage } from './collect-garbage.ts'

const TRIES = 20

/** Whether nothing holds an object any more, which V8 is told to find out. */
export async function isCollected(held: WeakRef<object>): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    // What was looked at in a turn of the event loop lives until its end.
    await nextTurn()
    collectGarbage()
    if (held.deref() === undefined) return true
  }
  return false
}
