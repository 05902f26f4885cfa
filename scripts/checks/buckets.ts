import type { BucketSettings } from '../../src/config/buckets-file.ts'
import { createElsewhere } from '../../src/node/outside.ts'
import type { ServedBucket } from '../../src/service/originals/buckets.ts'
import type { Check } from './check.ts'
import { failure, ok, type Result, reasonOf, skipped } from './finding.ts'
import { storeFix } from './store-fix.ts'

const TIMEOUT_MS = 15_000

/** Each bucket of BUCKETS_FILE answers, and may be listed and read. */
export const bucketsCheck: Check = {
  name: 'buckets',
  async run({ config, buckets }) {
    if (buckets.length === 0) return [skipped('BUCKETS_FILE names no buckets.')]
    const elsewhere = await createElsewhere(config, buckets)
    try {
      return await Promise.all(
        buckets.flatMap((settings) => {
          const served = elsewhere.buckets.get(settings.alias)
          return served ? [bucketResult(settings, served)] : []
        }),
      )
    } finally {
      await elsewhere.close()
    }
  },
}

async function bucketResult(
  { alias, bucket: name }: BucketSettings,
  { bucket, keyPrefix }: ServedBucket,
): Promise<Result> {
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  let permission = 's3:ListBucket'
  try {
    await bucket.check(signal)
    permission = 's3:GetObject'
    // As a rule there is no such key: a user without s3:GetObject is refused all the same.
    await bucket.look({ key: `${keyPrefix}doctor-probe` }, undefined, signal)
    return ok(`Bucket "${alias}" may be listed and read.`)
  } catch (error) {
    const names = {
      bucket: `buckets.${alias} (${name})`,
      endpoint: `buckets.${alias}.endpoint in BUCKETS_FILE`,
      credentials: `accessKeyId and secretAccessKey of buckets.${alias} in BUCKETS_FILE`,
      policy: 'packaging/s3-read-policy.json',
    }
    return failure(`Bucket "${alias}" fails: ${reasonOf(error)}.`, storeFix(error, permission, names))
  }
}
