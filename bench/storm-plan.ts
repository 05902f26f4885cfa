import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { z } from 'zod'

/** What all ids of a storm begin with, to find them among the requests to the store. */
export const UNKNOWN_PREFIX = 'dead0000'

export const StormPlan = z
  .object({
    host: z.string(),
    port: z.number(),
    /** Of this process; each has a connection at least. */
    addresses: z.array(z.string()).readonly(),
    connections: z.number(),
    perSecond: z.number(),
    seconds: z.number(),
    /** Number of the first id: no id is requested twice. */
    first: z.number(),
  })
  .readonly()
export type StormPlan = z.infer<typeof StormPlan>

const Storm = z
  .object({
    sent: z.number(),
    /** Until the last one was sent. */
    seconds: z.number(),
    /** Number of answers by status. */
    statuses: z.array(z.tuple([z.number(), z.number()])).readonly(),
    /** Of the sender itself. */
    cpuSeconds: z.number(),
  })
  .readonly()
export type Storm = z.infer<typeof Storm>

/** @param through Command that starts the sender elsewhere, such as in a network namespace. */
export async function sendStorm(plan: StormPlan, through: readonly string[] = []): Promise<Storm> {
  const own = [process.execPath, join(import.meta.dirname, 'storm-sender.ts'), JSON.stringify(plan)]
  const [command = '', ...args] = [...through, ...own]
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  // Real clients have processors of their own.
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL)
  const [output] = await Promise.all([text(child.stdout), once(child, 'close')])
  if (child.exitCode !== 0) throw new Error(`The sender ended with ${child.exitCode}`)
  return Storm.parse(JSON.parse(output))
}
