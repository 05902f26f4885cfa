import type { Finding } from './checks/finding.ts'
import { checkPackages } from './checks/packages.ts'
import { doctorMetrics, writeMetrics } from './doctor-metrics.ts'
import { type DoctorOptions, parseDoctor, USAGE } from './doctor-options.ts'
import { type Complain, EXIT, runCommand } from './run-command.ts'

async function examine(options: DoctorOptions, complain: Complain): Promise<number> {
  const began = performance.now()
  const packages = { check: 'packages', ...(await checkPackages()) }
  const findings = [packages, ...(packages.status === 'ok' ? await checkNode(options) : [])]
  const hasFailed = findings.some(({ status }) => status === 'failure')
  const seconds = Math.round(performance.now() - began) / 1000
  process.stdout.write(options.json ? jsonReport(findings, seconds) : textReport(findings, seconds, options))
  const isWritten = await hasWritten(options, findings, complain)
  const exitCode = hasFailed || !isWritten ? EXIT.failed : EXIT.done
  if (packages.status === 'ok') await endWithin(HUNG_AFTER_MS, exitCode)
  return exitCode
}

/** @returns false if the file of --metrics cannot be written. */
async function hasWritten(
  { metrics }: DoctorOptions,
  findings: readonly Finding[],
  complain: Complain,
): Promise<boolean> {
  if (metrics === undefined) return true
  try {
    await writeMetrics(metrics, doctorMetrics(findings, Date.now()))
    return true
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    complain(`--metrics: cannot write ${metrics}: ${reason}; name a file in a folder that this user may write to`)
    return false
  }
}

const HUNG_AFTER_MS = 500

/** A thread that waits for a hung file system or name server would keep this process alive. */
async function endWithin(ms: number, exitCode: number): Promise<void> {
  const { endDespiteHungThreads } = await import('../src/node/start-trouble.ts')
  setTimeout(() => endDespiteHungThreads(process, exitCode), ms).unref()
}

/** Imported only now: it needs the packages. */
async function checkNode(options: DoctorOptions): Promise<readonly Finding[]> {
  const { runChecks } = await import('./checks/run-checks.ts')
  return await runChecks(options)
}

function jsonReport(findings: readonly Finding[], seconds: number): string {
  return `${JSON.stringify({ status: worstOf(findings), ...countsOf(findings), seconds, findings })}\n`
}

function textReport(findings: readonly Finding[], seconds: number, { quiet }: DoctorOptions): string {
  const shown = quiet ? findings.filter(({ fix }) => fix !== undefined) : findings
  if (quiet && shown.length === 0) return ''
  const lines = shown.flatMap(({ check, status, message, fix }) => [
    `${status.padEnd(8)} ${check}: ${message}`,
    ...(fix === undefined ? [] : [`         fix: ${fix}`]),
  ])
  const { failures, warnings } = countsOf(findings)
  return `${[...lines, `doctor: ${counted(failures, 'failure')}, ${counted(warnings, 'warning')}, in ${seconds.toFixed(1)} s`].join('\n')}\n`
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function countsOf(findings: readonly Finding[]) {
  const count = (wanted: Finding['status']) => findings.filter(({ status }) => status === wanted).length
  return { failures: count('failure'), warnings: count('warning') }
}

function worstOf(findings: readonly Finding[]): Finding['status'] {
  const { failures, warnings } = countsOf(findings)
  if (failures > 0) return 'failure'
  return warnings > 0 ? 'warning' : 'ok'
}

/** Checks a node: see "Doctor" in docs/operating.md. */
await runCommand({ name: 'doctor', usage: USAGE, parse: parseDoctor, run: examine })
