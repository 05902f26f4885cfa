import pLimit from 'p-limit'
import { ServiceError } from '../../errors.ts'
import type { Bucket } from '../ports/bucket.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'

/** Checks the permissions that the settings of this node need, before a request fails. */
export interface AccessWatch {
  /** Runs all checks that are due. Throws only the reason of `signal`. */
  look(signal: AbortSignal): Promise<void>
}

export interface AccessWatchOptions {
  /** By alias. */
  readonly buckets: ReadonlyMap<string, { readonly bucket: Bucket }>
  /** Absent: this node accepts no uploads. */
  readonly uploadStore?: ObjectStore
  readonly degradation: Degradation
  /** Ms; a clock that is never set back. */
  readonly now: () => number
}

/** A successful check is repeated after this time; a failed one each time. */
const TRUSTED_MS = 300_000
const AT_ONCE = 4

const READ_ONLY =
  'Uploads to the object store fail, because its user has no write permission: allow PutObject and DeleteObject ' +
  '(packaging/s3-policy.json), or unset UPLOAD_TOKENS for a read-only node'

interface Check {
  /** @returns The reason of a failure. @param before The reason of the last check. */
  readonly run: (signal: AbortSignal, before: string | undefined) => Promise<string | undefined>
  reason?: string | undefined
  lookedAt?: number
}

export function createAccessWatch({ buckets, uploadStore, degradation, now }: AccessWatchOptions): AccessWatch {
  const checks: Check[] = [...buckets].map(([alias, { bucket }]) => ({
    run: (signal) => bucketTrouble(alias, bucket, signal),
  }))
  if (uploadStore) checks.push({ run: (signal, before) => writeTrouble(uploadStore, signal, before) })
  const limit = pLimit(AT_ONCE)

  async function look(check: Check, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const reason = await check.run(signal, check.reason)
    check.lookedAt = now()
    if (check.reason !== undefined && check.reason !== reason) degradation.end(check.reason)
    if (reason !== undefined) degradation.begin(reason)
    check.reason = reason
  }

  return {
    async look(signal) {
      const due = checks.filter(
        ({ reason, lookedAt = -Infinity }) => reason !== undefined || now() - lookedAt >= TRUSTED_MS,
      )
      await Promise.all(due.map((check) => limit(() => look(check, signal))))
    },
  }
}

async function bucketTrouble(alias: string, bucket: Bucket, signal: AbortSignal): Promise<string | undefined> {
  const message = await messageOf(bucket.check(signal), signal)
  return message === undefined ? undefined : `Bucket "${alias}" in BUCKETS_FILE: ${message}`
}

/** While the store is unavailable, which makes the node unready, the last result is kept. */
async function writeTrouble(
  store: ObjectStore,
  signal: AbortSignal,
  before: string | undefined,
): Promise<string | undefined> {
  let reason = before
  const asked = store.check(signal).then(async () => {
    reason = (await store.mayWrite(signal)) ? undefined : READ_ONLY
  })
  await messageOf(asked, signal)
  return reason
}

/** @returns The message of the failure, if there is one. */
async function messageOf(call: Promise<void>, signal: AbortSignal): Promise<string | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof ServiceError) return error.message
    throw error
  }
}

/** Problems that do not make the node unready: `/readyz` reports them, and the log once. */
export interface Degradation {
  /** In the order of their beginning. */
  readonly reasons: readonly string[]
  /**
   * @param reason For `/readyz`: without paths, names of buckets and the like, which go into `cause`.
   * @param options.lastsMs Time after which it ends unless it is reported again. Absent: it lasts until `end`.
   */
  begin(reason: string, options?: { readonly cause?: unknown; readonly lastsMs?: number }): void
  end(reason: string): void
}

export function createDegradation(meter: Pick<Meter, 'trouble'>, now: () => number): Degradation {
  const endsAt = new Map<string, number>()
  const told = new Set<string>()

  return {
    get reasons() {
      return [...endsAt].filter(([, end]) => end > now()).map(([reason]) => reason)
    },
    begin(reason, { cause, lastsMs = Infinity } = {}) {
      endsAt.set(reason, now() + lastsMs)
      if (told.has(reason)) return
      told.add(reason)
      meter.trouble(reason, cause)
    },
    end(reason) {
      endsAt.delete(reason)
      told.delete(reason)
    },
  }
}
