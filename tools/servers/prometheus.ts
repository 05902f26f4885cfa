import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import type { Scope } from '../processes/scope.ts'
import { ensurePrometheus, ensurePromtool } from './install-servers.ts'
import { stopAfter } from './site.ts'

/** Ample for a busy machine: scrapes and evaluations are a fifth of a second apart. */
const WITHIN_MS = 60_000

export interface Prometheus {
  /** Values of an instant query; `NaN` is one too. @throws Error with Prometheus' message if the query is wrong. */
  query(expression: string): Promise<readonly number[]>
  /** Resolves when the query has a result. */
  untilNonEmpty(expression: string): Promise<void>
  /** Annotations of an alert, when it fires. */
  untilFiring(name: string): Promise<z.infer<typeof Annotations>>
  /** Resolves when no alert fires but these. */
  untilQuiet(ignored: readonly string[]): Promise<void>
}

export interface PrometheusOptions {
  /** As `127.0.0.1:3000`; the job is `darkroom`. */
  readonly targets: readonly string[]
  /** Targets of further jobs, by name. */
  readonly otherJobs?: Readonly<Record<string, readonly string[]>>
  /** Content of a rule file. */
  readonly rules: string
}

const Annotations = z.object({ summary: z.string(), description: z.string(), runbook: z.string() })
const QueryAnswer = z.discriminatedUnion('status', [
  z.object({ status: z.literal('error'), error: z.string() }),
  z.object({
    status: z.literal('success'),
    data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })) }),
  }),
])
const Alert = z.object({ labels: z.object({ alertname: z.string() }), annotations: Annotations, state: z.string() })
const AlertsAnswer = z.object({
  data: z.object({ alerts: z.array(Alert) }),
})

/** A Prometheus that scrapes nodes, until the test ends. */
export async function startPrometheus(
  t: Scope,
  { targets, otherJobs = {}, rules }: PrometheusOptions,
): Promise<Prometheus> {
  const folder = await createServerFolder('prometheus')
  await writeFile(join(folder, 'rules.yml'), rules)
  const config = {
    global: { scrape_interval: '200ms', scrape_timeout: '200ms', evaluation_interval: '200ms' },
    rule_files: ['rules.yml'],
    scrape_configs: Object.entries({ darkroom: targets, ...otherJobs }).map(([job_name, each]) => ({
      job_name,
      static_configs: [{ targets: each }],
    })),
  }
  // JSON is YAML.
  await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config))
  const address = `127.0.0.1:${await freePort()}`
  const url = `http://${address}`
  const server = await startServer({
    name: 'prometheus',
    command: await ensurePrometheus(),
    args: ['--config.file=prometheus.yml', '--storage.tsdb.path=data', `--web.listen-address=${address}`],
    folder,
    isReady: async () => (await fetch(`${url}/-/ready`)).ok,
    readyTimeoutMs: WITHIN_MS,
    endsBy: 'KILL',
  })
  stopAfter(t, server.stop)

  async function alerts() {
    const answer = await (await fetch(`${url}/api/v1/alerts`)).json()
    return AlertsAnswer.parse(answer).data.alerts
  }

  async function query(expression: string): Promise<readonly number[]> {
    const answer = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`)
    const result = QueryAnswer.parse(await answer.json())
    if (result.status === 'error') throw new Error(`${expression}: ${result.error}`)
    return result.data.result.map(({ value }) => Number(value[1]))
  }

  return {
    query,
    async untilNonEmpty(expression) {
      await inTime(async () => (await query(expression)).length > 0 || undefined, `${expression} has no result`)
    },
    async untilFiring(name) {
      const annotations = async () =>
        (await alerts()).find(({ labels, state }) => labels.alertname === name && state === 'firing')?.annotations
      return await inTime(annotations, `${name} does not fire`)
    },
    async untilQuiet(ignored) {
      const isQuiet = async () => (await alerts()).every(({ labels }) => ignored.includes(labels.alertname))
      await inTime(async () => (await isQuiet()) || undefined, 'Alerts fire')
    },
  }
}

/** Asks until there is an answer. */
async function inTime<T>(ask: () => Promise<T | undefined>, complaint: string): Promise<T> {
  const deadline = performance.now() + WITHIN_MS
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new Error(complaint)
    await delay(50)
  }
}

/** Runs `promtool` to its end. @param input For standard input. */
export async function promtool(
  args: readonly string[],
  input = '',
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(await ensurePromtool(), args, { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(input)
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: child.exitCode, output: out + err }
}
