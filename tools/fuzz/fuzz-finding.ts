import { type Answer, assertUnavailable } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'

/** An answer that must not be, and what it was an answer to. */
export interface FuzzFinding {
  readonly request: string
  readonly problem: string
  /** The file that did it. */
  readonly bytes?: Buffer
  readonly how?: string
}

/** What a run of requests came to. */
export interface FuzzReport {
  /** How many files or URLs. */
  readonly tried: number
  /** How many answers of each kind. */
  readonly answers: Readonly<Record<string, number>>
  readonly slowestMs: number
  readonly findings: readonly FuzzFinding[]
}

/** Counts answers, and keeps those that must not be. */
export interface FuzzTally {
  /** @param problem What is wrong with it, beside its being late. */
  answered(kind: string, ms: number, of: Omit<FuzzFinding, 'problem'>, problem: string | undefined): void
  failed(of: Omit<FuzzFinding, 'problem'>, error: unknown): void
  report(tried: number): FuzzReport
}

/** No answer may take longer. */
const LATE_MS = 10_000
/** What an answer must not tell of. */
const INSIDE = /\/tmp\/|\/root\/|node:|originals\/|records\/|\.ts:\d/

export function createFuzzTally(): FuzzTally {
  const answers: Record<string, number> = {}
  const findings: FuzzFinding[] = []
  let slowestMs = 0
  return {
    answered(kind, ms, of, problem) {
      answers[kind] = (answers[kind] ?? 0) + 1
      slowestMs = Math.max(slowestMs, ms)
      const found = ms > LATE_MS ? `took ${Math.round(ms)} ms` : problem
      if (found !== undefined) findings.push({ ...of, problem: found })
    },
    failed: (of, error) => void findings.push({ ...of, problem: `no answer: ${String(error)}` }),
    report: (tried) => ({ tried, answers, slowestMs, findings }),
  }
}

/** @returns what is wrong with an error, as one that a client may be told. */
export function problemOfError(answer: Answer): string | undefined {
  if (answer.status === 503) {
    try {
      assertUnavailable(answer, /^[a-z_]+$/)
      return undefined
    } catch (error) {
      return String(error)
    }
  }
  const isError = answer.status >= 400 && answer.status < 500
  return isError ? problemOfErrorBody(answer) : `${answer.status} ${answer.body.toString('utf8', 0, 300)}`
}

/** That a remote host sends no sound image is told as a 502: its fault and not ours. */
export function problemOfRemoteError(answer: Answer): string | undefined {
  return answer.status === 502 ? problemOfErrorBody(answer) : problemOfError(answer)
}

function problemOfErrorBody({ status, headers, body }: Answer): string | undefined {
  const caching = headers.get('cache-control')
  if (caching !== 'no-store' && !(status === 404 && caching === 'public, max-age=5'))
    return `${status} with Cache-Control: ${caching}`
  if (headers.get('x-content-type-options') !== 'nosniff') return `${status} without nosniff`
  if (headers.get('content-type') !== 'application/json') return `${status} as ${headers.get('content-type')}`
  const text = body.toString()
  const fields = fieldsOf(text)
  const isOurs = typeof fields?.['error'] === 'string' && typeof fields['message'] === 'string'
  if (!isOurs || Object.keys(fields).length !== 2 || INSIDE.test(text)) return `${status} says ${text.slice(0, 300)}`
  return undefined
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return jsonFields(text)
  } catch {
    // Neither JSON nor an object: the caller says what it is.
    return undefined
  }
}
