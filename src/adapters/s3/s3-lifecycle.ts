import { createHash } from 'node:crypto'
import {
  GetBucketLifecycleConfigurationCommand,
  type LifecycleRule,
  PutBucketLifecycleConfigurationCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { S3_LIMITS } from './s3-calls.ts'
import { createS3Connections } from './s3-client.ts'
import { field, toS3Failure } from './s3-failure.ts'
import type { S3StoreSettings } from './s3-store.ts'

/** A rule by which the bucket deletes objects by itself. */
export interface ExpiryRule {
  /** Identifies the rule among those of other programs. */
  readonly id: string
  readonly prefix: string
  /** Since the write. */
  readonly days: number
}

/** The lifecycle rules of a bucket. */
export interface S3Lifecycle {
  /** Days after which objects with this prefix expire, by any rule. @throws UnavailableError */
  expiryDays(prefix: string, signal: AbortSignal): Promise<number | undefined>
  /**
   * Adds the rule or replaces the one with its id. The rules of others are kept.
   * @returns false if the bucket has it already. @throws UnavailableError
   */
  setExpiry(rule: ExpiryRule, signal: AbortSignal): Promise<boolean>
  close(): void
}

/** Not for the hot path: without the limits of `S3Calls`. The caller closes it. */
export function createS3Lifecycle(settings: S3StoreSettings): S3Lifecycle {
  const { client, close } = createS3Connections(settings, S3_LIMITS)
  const Bucket = settings.bucket
  sendContentMd5(client)

  async function rules(signal: AbortSignal): Promise<readonly LifecycleRule[]> {
    try {
      const command = new GetBucketLifecycleConfigurationCommand({ Bucket })
      return (await client.send(command, { abortSignal: signal })).Rules ?? []
    } catch (error) {
      if (field(error, 'name') === 'NoSuchLifecycleConfiguration') return []
      throw failureOf(error, 'GET lifecycle', signal)
    }
  }

  return {
    async expiryDays(prefix, signal) {
      const days = (await rules(signal)).filter((rule) => covers(rule, prefix)).flatMap((rule) => daysOf(rule) ?? [])
      return days.length > 0 ? Math.min(...days) : undefined
    },
    async setExpiry({ id, prefix, days }, signal) {
      const all = await rules(signal)
      const own = all.find(({ ID }) => ID === id)
      if (own && covers(own, prefix) && daysOf(own) === days) return false
      const rule: LifecycleRule = { ID: id, Filter: { Prefix: prefix }, Status: 'Enabled', Expiration: { Days: days } }
      const LifecycleConfiguration = { Rules: [...all.filter((other) => other !== own), rule] }
      try {
        const command = new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration })
        await client.send(command, { abortSignal: signal })
        return true
      } catch (error) {
        throw failureOf(error, 'PUT lifecycle', signal)
      }
    },
    close,
  }
}

function failureOf(error: unknown, operation: string, signal: AbortSignal): unknown {
  return signal.aborted ? signal.reason : toS3Failure(error, operation)
}

function covers(rule: LifecycleRule, prefix: string): boolean {
  const { Status, Filter } = rule
  const others = Filter && Object.keys(Filter).some((key) => key !== 'Prefix')
  // Where rules of the first version of the format had it.
  const old = field(rule, 'Prefix')
  const own = Filter?.Prefix ?? (typeof old === 'string' ? old : '')
  return Status === 'Enabled' && !others && prefix.startsWith(own)
}

/** Servers answer with empty or zero fields for those that a rule does not have. */
function daysOf({ Expiration }: LifecycleRule): number | undefined {
  return Expiration?.Days === 0 ? undefined : Expiration?.Days
}

/** MinIO and Ceph RGW refuse the request without Content-MD5, which the SDK has replaced by other checksums. */
function sendContentMd5(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const body = field(args.request, 'body')
      const headers = field(args.request, 'headers')
      if (typeof body === 'string' && body !== '' && typeof headers === 'object' && headers !== null) {
        for (const name of Object.keys(headers)) {
          if (/^x-amz-(?:checksum-|sdk-checksum)/i.test(name)) Reflect.deleteProperty(headers, name)
        }
        Reflect.set(headers, 'content-md5', createHash('md5').update(body).digest('base64'))
      }
      return next(args)
    },
    // After the SDK's own checksums, before the signature.
    { name: 'contentMd5', step: 'build', priority: 'low' },
  )
}
