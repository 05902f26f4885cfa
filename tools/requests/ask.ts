import assert from 'node:assert/strict'
import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CACHE_FOLDERS } from '../../src/domain/stored/cache-layout.ts'
import type { Darkroom } from '../servers/darkroom.ts'
import { jsonFields } from './raw-request.ts'
import { TOKEN } from './token.ts'

/** Longer than any answer may take: what isn't there by then hangs. */
const HUNG_MS = 20_000

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
  /** To the last byte. */
  readonly ms: number
}

/** One request with its whole answer. @throws if it is cut, or hangs. */
export async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const began = performance.now()
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(HUNG_MS), ...init })
  const body = Buffer.from(await response.arrayBuffer())
  return { status: response.status, headers: response.headers, body, ms: performance.now() - began }
}

/** Uploads a PNG. @param token Empty: none is sent. */
export function post(url: string, bytes: Buffer, token: string = TOKEN): Promise<Answer> {
  const headers = { 'Content-Type': 'image/png', ...(token !== '' && { Authorization: `Bearer ${token}` }) }
  return ask(`${url}/images`, { method: 'POST', headers, body: new Uint8Array(bytes) })
}

/** Fails unless the answer is a clean `503` that says nothing of what is behind the service. */
export function assertUnavailable(answer: Answer, code: RegExp, secrets: readonly string[] = []): void {
  assert.equal(answer.status, 503, answer.body.toString())
  assert.match(answer.headers.get('retry-after') ?? '', /^[1-9]\d*$/)
  assert.equal(answer.headers.get('cache-control'), 'no-store')
  assertPlainError(answer, code, secrets)
}

/** Fails unless the answer is the JSON that all errors are, and says nothing of what is behind the service. */
export function assertPlainError(answer: Answer, code: RegExp, secrets: readonly string[] = []): void {
  const text = answer.body.toString()
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
  assert.match(answer.headers.get('content-type') ?? '', /^application\/json/)
  const { error, message, ...more } = jsonFields(text)
  assert.match(String(error), code)
  assert.ok(typeof message === 'string' && message !== '')
  assert.deepEqual(more, {})
  // As V8 begins the lines of a stack: "at most" is said to anybody.
  for (const secret of [...secrets, 'originals/', 'records/', '/tmp/', 'node:', 'file://', '    at ']) {
    assert.ok(!text.includes(secret), `${text} tells ${secret}`)
  }
}

/** Every file below a folder, relative to it, in order, without what goes while it is read. */
export async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = []
  const walk = async (path: string): Promise<void> => {
    for (const entry of await readdir(join(folder, path), { withFileTypes: true }).catch(noneIfMissing)) {
      if (entry.isDirectory()) await walk(join(path, entry.name))
      else files.push(join(path, entry.name))
    }
  }
  await walk('')
  return files.toSorted()
}

/** Paths of the files in a cache, without the compiled code that its threads write at any time. */
export async function cachedFiles(cacheDir: string): Promise<string[]> {
  return (await filesBelow(cacheDir)).filter((path) => !path.startsWith(`${CACHE_FOLDERS.code}/`))
}

function noneIfMissing(error: unknown): Dirent[] {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
  throw error
}

/** Asks again and again until `isRight`, for at most five seconds, as long as an outage may be felt after its end. @returns ms */
export async function recoversIn(
  request: () => Promise<Answer>,
  isRight: (answer: Answer) => boolean,
): Promise<number> {
  const began = performance.now()
  for (;;) {
    const answer = await request()
    const ms = performance.now() - began
    if (isRight(answer)) return ms
    assert.ok(ms < 5000, `Still ${answer.status} after ${Math.round(ms)} ms: ${answer.body.toString().slice(0, 200)}`)
    await delay(10)
  }
}

/** Waits until the log has such a line; lines are written in bundles, twice a second. @returns all such lines. */
export async function logged(
  node: Darkroom,
  isIt: (line: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>[]> {
  for (let tenths = 0; tenths < 50; tenths += 1) {
    const found = (await node.log()).filter(isIt)
    if (found.length > 0) return found
    await delay(100)
  }
  throw new Error('The log does not say so')
}
