import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { runCommand } from '../../tools/processes/process.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { ensureSchemathesis } from '../../tools/servers/install-servers.ts'
import { AUTHORIZATION, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

/**
 * Checks of the answers. Those of the requests are left out: a JSON schema cannot express the grammar of sizes and file names, so
 * Schemathesis would call a refused size a mistake.
 */
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'unsupported_method',
  'ignored_auth',
]

test('A node answers as /openapi.json says, to examples and to random requests', { timeout: 600_000 }, async (t) => {
  const folder = await temporaryFolder(t)
  const image = await fixture('mountains.jpg')
  const { bucket, endpoint, region, credentials } = await newBucket()
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  t.after(() => client.destroy())
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'cat.jpg', Body: image }))
  const buckets = join(folder, 'buckets.yaml')
  await writeFile(
    buckets,
    `buckets:\n  photos:\n    bucket: ${bucket}\n    endpoint: ${endpoint}\n    accessKeyId: $KEY\n    secretAccessKey: $SECRET\n`,
  )
  const secrets = { KEY: String(credentials?.accessKeyId), SECRET: String(credentials?.secretAccessKey) }
  const node = await startNodeFor(t, { env: { BUCKETS_FILE: buckets, ...secrets } })
  // The id of this image is the example of the description.
  assert.equal(await uploadFixture(node.url, 'mountains.jpg'), '82343c717326f81108374e694e36782edb04a441')

  const { python, folder: packages } = await ensureSchemathesis()
  const options = ['--phases', 'examples,coverage,fuzzing', '--max-examples', '30', '--seed', '1', '--no-color']
  // A deletion would remove the example.
  const selection = ['--exclude-operation-id', 'remove', '--header', `Authorization: ${AUTHORIZATION.Authorization}`]
  const args = [
    '-m',
    'schemathesis.cli',
    'run',
    `${node.url}/openapi.json`,
    ...options,
    ...selection,
    '--checks',
    CHECKS.join(','),
  ]
  await runCommand(python, args, { PYTHONPATH: packages, PYTHONUTF8: '1' })
})
