import { rename, writeFile } from 'node:fs/promises'
import type { Finding } from './checks/finding.ts'

/** Readable for the node exporter, which is another user; the file has no secrets. */
const MODE = 0o644

interface Gauge {
  readonly name: string
  readonly help: string
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[]
}

/**
 * The result of the doctor in Prometheus' text format, for the textfile collector of the node exporter.
 *
 * @param now Milliseconds since 1970.
 */
export function doctorMetrics(findings: readonly Finding[], now: number): string {
  return [countsOf(findings), certificatesOf(findings), lastRun(now)].flatMap(linesOf).join('')
}

/** Replaces the file in one step, so that the node exporter never reads a part of it. @throws Error of the file system. */
export async function writeMetrics(path: string, text: string): Promise<void> {
  const aside = `${path}.${process.pid}.new`
  await writeFile(aside, text, { mode: MODE })
  await rename(aside, path)
}

function countsOf(findings: readonly Finding[]): Gauge {
  const counts = new Map<string, { labels: { check: string; status: string }; value: number }>()
  for (const { check, status } of findings) {
    const key = `${check} ${status}`
    counts.set(key, { labels: { check, status }, value: (counts.get(key)?.value ?? 0) + 1 })
  }
  return {
    name: 'darkroom_doctor_findings',
    help: 'Findings of the last run of the doctor, by check and status (ok, warning, failure or skipped)',
    samples: [...counts.values()],
  }
}

function certificatesOf(findings: readonly Finding[]): Gauge {
  return {
    name: 'darkroom_doctor_certificate_days_left',
    help: 'Whole days until the TLS certificate of the host expires; negative if it has expired',
    samples: findings.flatMap(({ measured, subject: host = '' }) => {
      const value = measured?.['certificateDaysLeft']
      return value === undefined ? [] : [{ labels: { host }, value }]
    }),
  }
}

function lastRun(now: number): Gauge {
  const help = 'Time at which the doctor ended, in seconds since 1970'
  return {
    name: 'darkroom_doctor_last_run_timestamp_seconds',
    help,
    samples: [{ labels: {}, value: Math.round(now / 1000) }],
  }
}

function linesOf({ name, help, samples }: Gauge): readonly string[] {
  const lines = samples.map(({ labels, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`)
    return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`
  })
  return lines.length > 0 ? [`# HELP ${name} ${help}\n# TYPE ${name} gauge\n`, ...lines] : []
}
