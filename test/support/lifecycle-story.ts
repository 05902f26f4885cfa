import assert from 'node:assert/strict'
import { GetBucketLifecycleConfigurationCommand } from '@aws-sdk/client-s3'
import { createS3Lifecycle } from '../../src/adapters/s3/s3-lifecycle.ts'
import type { S3StoreSettings } from '../../src/adapters/s3/s3-store.ts'
import { createTestClient, type S3Access } from '../../tools/s3/s3-server.ts'

const signal = new AbortController().signal
const PREFIX = 'renditions/'
const RULE = { id: 'darkroom-renditions', prefix: PREFIX, days: 31 } as const

/** The rule is set, changed and found, and a rule of another program stays. @param settings Of a new bucket. */
export async function assertRuleIsSet(access: S3Access, settings: S3StoreSettings): Promise<void> {
  const lifecycle = createS3Lifecycle(settings)
  const client = createTestClient(access)
  const Bucket = settings.bucket
  try {
    assert.equal(await lifecycle.expiryDays(PREFIX, signal), undefined)
    assert.equal(await lifecycle.setExpiry({ id: 'of-others', prefix: 'logs/', days: 3 }, signal), true)
    assert.equal(await lifecycle.expiryDays(PREFIX, signal), undefined)
    assert.equal(await lifecycle.setExpiry(RULE, signal), true)
    assert.equal(await lifecycle.setExpiry(RULE, signal), false)
    assert.equal(await lifecycle.expiryDays(PREFIX, signal), 31)
    assert.equal(await lifecycle.setExpiry({ ...RULE, days: 8 }, signal), true)
    assert.equal(await lifecycle.expiryDays(PREFIX, signal), 8)
    const { Rules = [] } = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))
    const found = Rules.map(({ Filter, Expiration }) => `${Filter?.Prefix} ${Expiration?.Days}`)
    assert.deepEqual(found.toSorted(), ['logs/ 3', 'renditions/ 8'])
  } finally {
    lifecycle.close()
    client.destroy()
  }
}
