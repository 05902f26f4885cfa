import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freePort } from '../../tools/processes/free-port.ts'
import { s3ForTests } from '../../tools/s3/start-s3-server.ts'
import { awsCli } from '../support/aws-cli.ts'
import { EVENT_TOKEN, startEventNodes } from '../support/event-nodes.ts'
import { assertOverwritingIsSeen, assertSizesAreMadeAhead, type Filler, PRIMED_SIZE } from '../support/overwriting.ts'
import { tellingBucket } from '../support/telling-bucket.ts'

test('What is copied into a bucket through RGW, three nodes show in two seconds', async (t) => {
  const access = await s3ForTests()
  assert.equal(access.kind, 'ceph', 'these tests are run by: npm run test:ceph')
  const port = await freePort()
  const bucket = await tellingBucket(access, `http://127.0.0.1:${port}/events/s3?access_token=${EVENT_TOKEN}`)
  const nodes = await startEventNodes(t, access, { bucket, port, primeSizes: [PRIMED_SIZE] })
  const s3 = (...args: readonly string[]) => awsCli(access, ['s3', ...args, '--only-show-errors'])
  const filler: Filler = {
    copy: async (file, key) => void (await s3('cp', file, `s3://${bucket}/${key}`)),
    remove: async (key) => void (await s3('rm', `s3://${bucket}/${key}`)),
  }

  await t.test('an overwriting, and a removal', (part) => assertOverwritingIsSeen(part, nodes, filler))
  await t.test('what is made ahead', () => assertSizesAreMadeAhead(nodes, filler))
})
