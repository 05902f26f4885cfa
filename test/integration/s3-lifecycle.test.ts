import { test } from 'node:test'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { s3ForTests } from '../../tools/s3/start-s3-server.ts'
import { assertRuleIsSet } from '../support/lifecycle-story.ts'

test('The lifecycle rule for shared renditions is set beside the rules of others', async () => {
  const access = await s3ForTests()
  await assertRuleIsSet(access, await newBucket(access))
})
