import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** Process ids of a node's renderers, by age. */
export async function rendererPids(nodePid: number): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const own = await Promise.all(pids.map(async (pid) => (await isRenderer(pid, nodePid)) && pid))
  return own.filter((pid) => pid !== false).toSorted((a, b) => a - b)
}

/** Resolves when no such process is left, or only what its parent has not been told of yet. */
export async function untilGone(pids: readonly number[]): Promise<void> {
  while ((await Promise.all(pids.map(isRunning))).includes(true)) await delay(20)
}

async function isRenderer(pid: number, nodePid: number): Promise<boolean> {
  const { parent } = await processState(pid)
  return parent === nodePid && (await readOrEmpty(`/proc/${pid}/cmdline`)).includes('src/renderer.ts')
}

async function isRunning(pid: number): Promise<boolean> {
  const { state } = await processState(pid)
  return state !== undefined && state !== 'Z' && state !== 'X'
}

async function processState(pid: number): Promise<{ state: string | undefined; parent: number }> {
  const text = await readOrEmpty(`/proc/${pid}/stat`)
  // The name, in parentheses, may hold anything; state and parent follow it.
  const [state, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: state || undefined, parent: Number(parent) }
}

/** A process may end while we look; one that did has nothing to say. */
async function readOrEmpty(path: string): Promise<string> {
  return await readFile(path, 'latin1').catch(() => '')
}
