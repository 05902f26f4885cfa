import pLimit from 'p-limit'
import { ServiceError } from '../../errors.ts'
import type { Bucket } from '../ports/bucket.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'

/** Finds out whether this node may do what its settings say, before somebody is refused for it. */
export interface AccessWatch {
  /** Looks at all that is due. Never throws but for `signal`'s reason. */
  look(signal: AbortSignal): Promise<void>
}

export interface AccessWatchOptions {
  /** By their aliases. */
  readonly buckets: ReadonlyMap<string, { readonly bucket: Bucket }>
  /** Absent: this node takes no uploads. */
  readonly uploadStore?: ObjectStore
  readonly degradation: Degradation
  /** Ms; a clock that is never set back. */
  readonly now: () => number
}

/** What was well is looked at again after this time; what was not, each time. */
const TRUSTED_MS = 300_000
const AT_ONCE = 4

const READ_ONLY =
  'Uploads to the object store fail, because its user has no write permission: allow PutObject and DeleteObject ' +
  '(packaging/s3-policy.json), or unset UPLOAD_TOKENS for a read-only node'

interface Check {
  /** @returns what is wrong, if anything. @param before What was wrong at the last look. */
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

/** While the store cannot be asked, which is a reason not to be ready, nothing new is known of our rights. */
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

/** @returns that of the failure, if it is one. */
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

/** What is wrong with this node without being a reason to take it out: `/readyz` names it, and the log once. */
export interface Degradation {
  /** In the order in which they began. */
  readonly reasons: readonly string[]
  /**
   * @param reason For `/readyz`: without paths, names of buckets and the like, which go into `cause`.
   * @param options.lastsMs It ends by itself unless it begins again within this time. Absent: it lasts until its end.
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
