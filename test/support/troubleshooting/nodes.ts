import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import { freePort } from '../../../tools/processes/free-port.ts'
import type { Scope } from '../../../tools/processes/scope.ts'
import { type Darkroom, startDarkroom } from '../../../tools/servers/darkroom.ts'
import { newStore, startNodeFor, stopAfter, temporaryFolder } from '../../../tools/servers/site.ts'
import { DOCTOR, doctorReport } from '../doctor.ts'
import type { Attempt, Mistake } from './mistake.ts'

export type Env = Readonly<Record<string, string>>

const MAIN = resolve(import.meta.dirname, '../../../src/main.ts')

interface StartMistake extends Omit<Mistake, 'section' | 'make' | 'works'> {
  /** Settings of the node that does not start. */
  readonly wrong: Env
  readonly right: Env
  /** Whether the node that starts gets a bucket of the real S3 server. */
  readonly inS3?: true
}

/** Settings with which a node does not start, and others with which it does. */
export const startMistake = ({ wrong, right, inS3, ...mistake }: StartMistake): Mistake => ({
  ...mistake,
  section: 'Starting a node',
  works: READY,
  async make(t) {
    const store = inS3 ? (await newStore()).env : {}
    const env = { ...right, ...store, PORT: String(await freePort()) }
    return {
      wrong: await startInVain(t, wrong),
      right: { done: commandOf(right), answer: await readiness(await startNodeFor(t, { env })) },
    }
  },
})

/** The answer of `readiness` for a node that is ready. */
export const READY = /^\/readyz is 200: ready$/

interface Program {
  /** Commands that become the node. */
  readonly through?: readonly string[]
  /** Path of Node.js. */
  readonly node?: string
}

/** A node that ends at its start. */
export async function startInVain(t: Scope, settings: Env, program: Program = {}): Promise<Attempt> {
  const { through = [], node = process.execPath } = program
  const folder = await temporaryFolder(t)
  await chmod(folder, 0o777)
  const own = { STORE: `file:${folder}/data`, CACHE_DIR: join(folder, 'cache'), PORT: String(await freePort()) }
  const [command, ...args] = [...through, node, MAIN]
  const child = spawn(command, args, {
    env: { ...process.env, DRAIN_SECONDS: '0', ...own, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  const [, said, complaint] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)])
  const lines = (said + complaint).split('\n').filter((line) => line !== '' && !line.startsWith('{'))
  return { done: commandOf(settings), answer: [...lines, `exit code ${child.exitCode}`].join('\n') }
}

/** A node that starts. */
export async function startReady(t: Scope, settings: Env): Promise<Attempt> {
  return { done: commandOf(settings), answer: await readiness(await startNodeFor(t, { env: settings })) }
}

/** As a person types it. */
function commandOf(settings: Env): string {
  const words = Object.entries(settings).map(([name, value]) => `${name}=${/[\s*]/.test(value) ? `"${value}"` : value}`)
  return [...words, 'npm start'].join(' ')
}

/** A node that runs, but may not be ready. @param through As for `startInVain`. */
export async function startUnready(t: Scope, env: Env, through: readonly string[] = []): Promise<Darkroom> {
  const node = await startDarkroom({ env, unready: true, through })
  stopAfter(t, node.stop)
  return node
}

const Readiness = z.object({
  status: z.string(),
  reasons: z.array(z.string()),
  notes: z.array(z.string()).default([]),
})

/** The answer of /readyz: a line for the status, and one for each reason. */
export async function readiness({ url }: { readonly url: string }): Promise<string> {
  const response = await fetch(`${url}/readyz`)
  const { status, reasons, notes } = Readiness.parse(await response.json())
  return [`/readyz is ${response.status}: ${status}`, ...reasons, ...notes].join('\n')
}

/** What the doctor finds in one of its checks. */
export async function doctorSays(
  check: string,
  env: Env,
  args: readonly string[],
  command = [DOCTOR],
): Promise<Attempt> {
  const { findings } = await doctorReport(env, args, command)
  const lines = findings
    .filter((finding) => finding.check === check)
    .flatMap(({ status, message, fix }) => [
      `${status} ${check}: ${message}`,
      ...(fix === undefined ? [] : [`fix: ${fix}`]),
    ])
  return { done: 'npm run doctor', answer: lines.join('\n') }
}
