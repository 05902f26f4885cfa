import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { z } from 'zod'

export const DOCTOR = resolve(import.meta.dirname, '../../scripts/doctor')

const Report = z.object({
  status: z.enum(['ok', 'warning', 'failure']),
  failures: z.number(),
  warnings: z.number(),
  seconds: z.number(),
  findings: z.array(
    z.object({
      check: z.string(),
      status: z.enum(['ok', 'warning', 'failure', 'skipped']),
      message: z.string(),
      fix: z.string().optional(),
      measured: z.record(z.string(), z.number()).optional(),
    }),
  ),
})

export type DoctorReport = z.infer<typeof Report>
type Env = Readonly<Record<string, string>>

export interface DoctorRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `scripts/doctor` as a process manager does: with nothing in the environment but the settings. */
export function runDoctor(
  env: Env,
  args: readonly string[],
  command: readonly string[] = [DOCTOR],
): Promise<DoctorRun> {
  const [program = DOCTOR, ...before] = command
  return new Promise((done) => {
    const child = execFile(
      program,
      [...before, ...args],
      { env, cwd: '/', timeout: 60_000 },
      (_error, stdout, stderr) => {
        done({ code: child.exitCode ?? -1, stdout, stderr })
      },
    )
  })
}

/** The report of a run, whose exit code agrees with it. @param command As in `runDoctor`. */
export async function doctorReport(
  env: Env,
  args: readonly string[],
  command?: readonly string[],
): Promise<DoctorReport> {
  const { code, stdout, stderr } = await runDoctor(env, ['--json', ...args], command)
  assert.equal(stderr, '')
  const report = Report.parse(JSON.parse(stdout))
  assert.equal(code, report.failures > 0 ? 1 : 0, stdout)
  return report
}

/** Checks that there is a finding as expected, and that each warning and failure has a fix of one sentence. */
export function assertFound(
  { findings }: DoctorReport,
  expected: {
    readonly check: string
    readonly status: 'warning' | 'failure'
    readonly message: RegExp
    readonly fix: RegExp
  },
): void {
  const isMatch = ({ check, status, message, fix = '' }: DoctorReport['findings'][number]) =>
    check === expected.check && status === expected.status && expected.message.test(message) && expected.fix.test(fix)
  assert.ok(findings.some(isMatch), `${expected.message} in ${JSON.stringify(findings, undefined, 1)}`)
  for (const { status, message, fix = '' } of findings) {
    assert.equal(fix !== '', status === 'warning' || status === 'failure', message)
    assert.match(message, /\.$/)
    if (fix !== '') assert.match(fix, /\.$/)
  }
}
