import { type Measured, nodeMetrics } from '../../src/node/node-metrics.ts'
import type { CallOutcome } from '../../src/service/ports/meter.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

const INTRODUCTION = `# Metrics

<!-- Generated from src/telemetry/metrics.ts and src/node/*-metrics.ts by "npm run docs". Do not edit. -->

\`GET /metrics\` on a node returns these metrics in Prometheus' text format, and those of
[prom-client](https://github.com/siimon/prom-client) for the process (\`process_*\`) and Node.js (\`nodejs_*\`). Counters start at 0 when
the process starts. Every label has a closed set of values. Requests that nginx answers without the node are not counted here, but in the
[metrics of nginx](#metrics-of-nginx). [operating.md](operating.md#monitoring) describes the alert rules and the dashboard.
`

/** How a call to an endpoint ended: the values of the label. */
const OUTCOMES = {
  ok: 'the server responded, also with "no such object"',
  unreachable: 'no connection; for remote hosts also no response',
  timeout: 'no response in time',
  busy: 'the server answered 500, 502 or 503, or asked to slow down',
  denied: 'the server rejects the credentials, or the bucket does not exist',
  full: 'the server has no space left',
  invalid: 'an unexpected response, or a body that was truncated or stalled',
  not_sent: 'the circuit breaker was open, or too many calls were waiting',
  canceled: 'the caller no longer needed it, usually because its client had disconnected',
} as const satisfies Record<CallOutcome, string>

type MetricDescription = readonly [name: string, labels: readonly string[], help: string]

/** Of scripts/doctor-metrics.ts. */
const DOCTOR_METRICS: readonly MetricDescription[] = [
  [
    'darkroom_doctor_certificate_days_left',
    ['host'],
    'Whole days until the TLS certificate of the host expires; negative if it has expired',
  ],
  [
    'darkroom_doctor_findings',
    ['check', 'status'],
    'Findings of the last run, by check and status (`ok`, `warning`, `failure` or `skipped`)',
  ],
  ['darkroom_doctor_last_run_timestamp_seconds', [], 'Time at which the doctor ended, in seconds since 1970'],
]

/** Of packaging/mtail/darkroom.mtail. */
const NGINX_METRICS: readonly MetricDescription[] = [
  [
    'darkroom_nginx_renditions_total',
    ['cache_status', 'cache'],
    'Renditions sent, as `darkroom_renditions_total`; a hit with the cache `nginx` was served without the node',
  ],
  [
    'darkroom_nginx_requests_total',
    ['status', 'route'],
    'Responses, by status code and route: `image`, `object` (below `/s3`), `record` (`/images`), `upload` (every `POST`), `monitoring` or `other`',
  ],
  ['darkroom_nginx_response_bytes_total', ['route'], 'Bytes of response bodies sent, by route'],
]

/** Nothing of it is read: the page needs the definitions only. */
const IDLE: Measured = {
  reads: undefined,
  versions: { version: '', node: '' },
  parts: { pending: 0 },
  readiness: { isReady: true, degraded: () => [] },
  renderers: { counters: { crashes: 0, timeouts: 0, replaced: 0, residentBytes: 0 } },
  feed: { counters: { waiting: 0, damagedBatches: 0, incompleteBatches: 0 } },
  relay: { counters: { isHolder: false, delivered: 0, failedAttempts: 0, deadLetters: 0, lagSeconds: 0 } },
  outbox: { counters: { events: 0, batches: 0, failures: 0, waiting: 0, oldestSeconds: 0 } },
  shared: { counters: { hits: 0, misses: 0, writes: 0, drops: 0 } },
  leftFetches: { counters: { kept: 0, canceled: 0 } },
  leftRenders: { counters: { kept: 0, canceled: 0 } },
  keeper: { usedBytes: 0, degraded: false, evicted: { files: 0, bytes: 0 }, sweepAgeSeconds: 0 },
  renderQueue: { active: 0, waiting: 0, expectedWaitMs: 0 },
  fetchQueue: { active: 0, waiting: 0 },
  peers: { name: '', hints: { counters: { sent: 0, failed: 0, received: 0 } }, roll: { size: 0 } },
  store: {},
  elsewhere: { buckets: new Map(), remotes: {} },
}

/** Every metric of ours, by name. */
interface MetricRow {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
}

function metricRows(): readonly MetricRow[] {
  const { registry, observe } = createMetrics()
  observe(nodeMetrics(IDLE))
  return registry
    .getMetricsAsArray()
    .filter(({ name }) => name.startsWith('darkroom_'))
    .map((metric) => ({ name: metric.name, type: String(metric.type), help: metric.help, labels: labelsOf(metric) }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** The content of docs/metrics.md. */
export function metricsPage(): string {
  const rows = metricRows().map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${code(labels)} | ${help.replaceAll(/[<*|]/g, String.raw`\$&`)} |`,
  )
  const outcomes = Object.entries(OUTCOMES).map(([outcome, about]) => `| \`${outcome}\` | ${about} |`)
  return [
    INTRODUCTION,
    '| metric | type | labels | description |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    '## Metrics of the doctor',
    '',
    'The [doctor](operating.md#doctor) writes these gauges, and the node exporter serves them:',
    '',
    '| metric | labels | description |',
    '| --- | --- | --- |',
    ...DOCTOR_METRICS.map(([name, labels, help]) => `| \`${name}\` | ${code(labels)} | ${help} |`),
    '',
    '## Metrics of nginx',
    '',
    "[mtail](operating.md#hits-of-nginx-in-prometheus) makes these counters of the access log of a node's nginx:",
    '',
    '| metric | labels | description |',
    '| --- | --- | --- |',
    ...NGINX_METRICS.map(([name, labels, help]) => `| \`${name}\` | ${code(labels)} | ${help} |`),
    '',
    '## Outcomes of calls',
    '',
    'Values of `outcome` in `darkroom_endpoint_calls_total`:',
    '',
    '| outcome | meaning |',
    '| --- | --- |',
    ...outcomes,
    '',
  ].join('\n')
}

function code(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ')
}

function labelsOf(metric: object): readonly string[] {
  return 'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : []
}
