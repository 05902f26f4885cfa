import assert from 'node:assert/strict'
import { readdir, readlink } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { residentBytes } from '../processes/process-use.ts'
import type { Darkroom } from './darkroom.ts'

/** What a node holds of the machine. */
export interface Footprint {
  readonly files: number
  readonly rssBytes: number
}

/** Waits until no more than that many are open, five seconds at most: the last of what was under way may still be on its way in. */
export async function settledFootprint(node: Darkroom, files: number): Promise<Footprint> {
  for (let tenths = 0; ; tenths += 1) {
    const found = await footprint(node)
    if (found.files <= files || tenths === 50) return found
    await delay(100)
  }
}

/** Open files other than sockets: connections may stay open for the next request. */
export async function footprint({ pid }: Darkroom): Promise<Footprint> {
  const names = await readdir(`/proc/${pid}/fd`)
  // One may be closed between the listing and the look.
  const targets = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => 'socket:')))
  const { now } = await residentBytes(pid)
  return { files: targets.filter((target) => !target.startsWith('socket:')).length, rssBytes: now }
}

/** Fails unless all places are free; they come back a moment after their clients have gone. */
export async function assertNothingBusy(node: Darkroom): Promise<void> {
  const names = ['render_queue_active', 'render_queue_waiting', 'fetch_queue_active', 'fetch_queue_waiting']
  let busy: number[] = []
  for (let tenths = 0; tenths < 50; tenths += 1) {
    busy = await Promise.all(names.map((name) => node.metric(`darkroom_${name}`)))
    if (busy.every((count) => count === 0)) return
    await delay(100)
  }
  assert.fail(`Still busy: ${names.map((name, at) => `${name} ${busy[at]}`).join(', ')}`)
}
