import assert from 'node:assert/strict'
import { type Answer, ask, assertPlainError } from '../requests/ask.ts'

/** Answers by status; `cut` for none at all. */
export type Answers = Readonly<Record<string, number>>

/** All requests of clients while a row runs, each of whose answers keeps to the rules that hold in every row. */
export interface Tally {
  readonly requests: number
  readonly answers: Answers
  /** As `ask`. @throws AssertionError if the answer breaks a rule, or if there is none. */
  ask(url: string, init?: RequestInit): Promise<Answer>
  /** Of an answer that somebody else asked for. @throws AssertionError as `ask`. */
  count(answer: Answer): void
  /** Of answers that somebody else asked for, and has held to the rules. */
  add(status: number, times: number): void
}

/** Failures that are neither ours nor anybody's bug. */
const MAY_FAIL = new Set([502, 503, 504])
const LONGEST_404_SECONDS = 60

/** @param secrets What no answer may tell. */
export function createTally(secrets: readonly string[] = []): Tally {
  const answers: Record<string, number> = {}
  const add = (key: string | number, times = 1): void => {
    if (times > 0) answers[key] = (answers[key] ?? 0) + times
  }
  const count = (answer: Answer): void => {
    add(answer.status)
    assertByTheRules(answer, secrets)
  }
  return {
    answers,
    get requests() {
      return Object.values(answers).reduce((sum, one) => sum + one, 0)
    },
    count,
    add,
    async ask(url, init) {
      const answer = await ask(url, init).catch((cause: unknown) => {
        add('cut')
        throw new assert.AssertionError({ message: `No answer to ${new URL(url).pathname}: ${String(cause)}` })
      })
      count(answer)
      return answer
    },
  }
}

/** What holds for every answer in every row, whatever failed. */
function assertByTheRules(answer: Answer, secrets: readonly string[]): void {
  const { status, headers } = answer
  if (status < 400) return
  assert.ok(status < 500 || MAY_FAIL.has(status), `${status}: ${answer.body.toString().slice(0, 300)}`)
  assertPlainError(answer, /^[a-z_]+$/, secrets)
  if (status === 503) assert.match(headers.get('retry-after') ?? '', /^[1-9]\d*$/)
  const caching = headers.get('cache-control') ?? ''
  if (status !== 404) return assert.equal(caching, 'no-store', `${status}`)
  const [, seconds = Infinity] = /^public, max-age=(\d+)$/.exec(caching) ?? []
  assert.ok(caching === 'no-store' || Number(seconds) <= LONGEST_404_SECONDS, caching)
}
