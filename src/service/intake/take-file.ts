import { type SourceRules, sourceOf } from '../../domain/intake/intake-source.ts'
import { judgeReport, judgeUpload, type Unavailable, type UploadOutcome } from '../../domain/intake/upload-outcome.ts'
import { DamagedFileError } from '../../errors.ts'
import type { Quarantine, RejectedUpload, Rejection, SpoolFile, SpoolFolder, UploadClient } from '../ports/intake.ts'
import type { FileMemory } from './file-memory.ts'

/** What happened to a file. */
export type Taken =
  | { readonly kind: 'stored' | 'rejected' }
  /** It is still in the spool folder, and may be tried again. */
  | { readonly kind: 'left'; readonly afterMs: number; readonly unavailable?: Unavailable }

type Reason = Pick<Rejection, 'code' | 'message'>

export interface TakeFileOptions<F extends SpoolFile> {
  readonly spool: Pick<SpoolFolder<F>, 'open' | 'remove'>
  readonly quarantine: Pick<Quarantine<F>, 'put'>
  readonly uploads: UploadClient
  readonly memory: FileMemory
  /** By folder. */
  readonly rules: ReadonlyMap<string, SourceRules>
  /** For the other folders. */
  readonly otherwise: SourceRules
  /** A file that was not renamed is rejected only when it was unchanged for this long: its writer may have paused. */
  readonly patienceMs: number
  readonly onRejected: (path: string, rejection: Rejection & { readonly fate: 'kept' | 'deleted' }) => void
  readonly now: () => number
}

/** Until the next attempt with a file that failed. */
const RETRY_MS = 5000
/** Attempts with a file that the node fails with, until it is rejected. */
const ATTEMPTS = 3

/**
 * Takes a file of the spool folder: uploads it, and then removes it, or if the node rejects it, reports that and moves it to
 * the quarantine.
 * Its end may come at any moment: the next attempt with the same bytes has the same result.
 */
export function createTakeFile<F extends SpoolFile>(
  options: TakeFileOptions<F>,
): (file: F, signal: AbortSignal) => Promise<Taken> {
  const { spool, quarantine, uploads, memory, rules, otherwise, patienceMs, onRejected, now } = options

  /** @returns undefined if the file is gone or changed. */
  async function upload(file: F, signal: AbortSignal): Promise<UploadOutcome | undefined> {
    const { name: source, labels, maxBytes } = sourceOf(file.path, rules, otherwise)
    const { path, sizeBytes } = file
    if (sizeBytes === 0) return { kind: 'rejected', code: 'invalid_upload', message: 'The file is empty' }
    if (maxBytes !== undefined && sizeBytes > maxBytes) {
      const message = `The file has ${sizeBytes} bytes; the limit of its source is ${maxBytes} (maxBytes)`
      return { kind: 'rejected', code: 'original_too_large', message }
    }
    const body = await spool.open(file)
    if (body === undefined) return undefined
    try {
      const name = path.slice(path.lastIndexOf('/') + 1)
      return judgeUpload(await uploads.upload({ body, sizeBytes, name, source, labels }, signal))
    } catch (error) {
      signal.throwIfAborted()
      if (body.errored instanceof DamagedFileError) throw body.errored
      return unreachable(error)
    } finally {
      body.destroy()
    }
  }

  /** @returns undefined if the event is durable. @throws Error if it never will be. */
  async function report(file: RejectedUpload, signal: AbortSignal): Promise<Unavailable | undefined> {
    const answer = await uploads.reportRejected(file, signal).catch((error: unknown) => {
      signal.throwIfAborted()
      return unreachable(error)
    })
    return 'kind' in answer ? answer : judgeReport(answer)
  }

  async function reject(file: F, { code, message }: Reason, signal: AbortSignal): Promise<Taken> {
    const unchangedMs = now() - file.modifiedMs
    if (!file.isCommitted && unchangedMs < patienceMs) {
      return { kind: 'left', afterMs: memory.postpone(file, Math.min(patienceMs, patienceMs - unchangedMs)) }
    }
    const { name: source, labels } = sourceOf(file.path, rules, otherwise)
    const rejection = { source, code, message, rejectedMs: now() }
    const { path, sizeBytes, arrivedMs } = file
    // First: a crash between the two repeats the event.
    const unavailable = await report({ path, sizeBytes, arrivedMs, labels, ...rejection }, signal)
    if (unavailable) return { kind: 'left', afterMs: memory.postpone(file, RETRY_MS), unavailable }
    const fate = await quarantine.put(file, rejection)
    if (fate === 'changed') return { kind: 'left', afterMs: 0 }
    onRejected(file.path, { ...rejection, fate })
    return { kind: 'rejected' }
  }

  async function fail(file: F, message: string, signal: AbortSignal): Promise<Taken> {
    const failures = memory.countFailure(file)
    if (failures >= ATTEMPTS)
      return await reject(file, { code: 'failed', message: `${message} (${failures} attempts)` }, signal)
    return { kind: 'left', afterMs: memory.postpone(file, RETRY_MS) }
  }

  return async (file, signal) => {
    const outcome = await upload(file, signal)
    switch (outcome?.kind) {
      case undefined:
        return { kind: 'left', afterMs: 0 }
      case 'stored':
        return (await spool.remove(file)) ? { kind: 'stored' } : { kind: 'left', afterMs: 0 }
      case 'rejected':
        return await reject(file, outcome, signal)
      case 'failed':
        return await fail(file, outcome.message, signal)
      case 'unavailable':
        // The next pass begins with another file, in case that this one makes the node fail.
        return { kind: 'left', afterMs: memory.postpone(file, RETRY_MS), unavailable: outcome }
    }
  }
}

function unreachable(error: unknown): Unavailable {
  const message = error instanceof Error ? error.message : String(error)
  return { kind: 'unavailable', message: `the node cannot be reached: ${message}`, retryAfterSeconds: 0 }
}
