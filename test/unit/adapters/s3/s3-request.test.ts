import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { z } from 'zod'
import { S3_LIMITS } from '../../../../src/adapters/s3/s3-calls.ts'
import { createS3Connections, type S3ClientSettings } from '../../../../src/adapters/s3/s3-client.ts'
import { createS3Requests, createSigner } from '../../../../src/adapters/s3/s3-request.ts'

/** Those of AWS's examples. */
const CREDENTIALS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
} as const
const AT = new Date('2013-05-24T00:00:00Z')

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
const VECTORS = [
  {
    name: 'GET of an object with a range',
    path: '/test.txt',
    query: {},
    headers: { range: 'bytes=0-9' },
    signed: 'host;range;x-amz-content-sha256;x-amz-date',
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    name: 'GET with a parameter without a value',
    path: '/',
    query: { lifecycle: '' },
    headers: {},
    signed: 'host;x-amz-content-sha256;x-amz-date',
    signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  },
  {
    name: 'GET with two parameters',
    path: '/',
    query: { 'max-keys': '2', prefix: 'J' },
    headers: {},
    signed: 'host;x-amz-content-sha256;x-amz-date',
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
] as const

for (const { name, path, query, headers, signed, signature } of VECTORS) {
  test(`the signature of AWS's example is the same: ${name}`, async (t) => {
    const { client } = connections(t, { region: 'us-east-1', forcePathStyle: false, credentials: CREDENTIALS })
    const hostname = 'examplebucket.s3.amazonaws.com'
    const request = {
      method: 'GET',
      protocol: 'https:',
      hostname,
      path,
      query,
      headers: { host: hostname, ...headers },
    }
    const { headers: sent } = await createSigner(client, 'us-east-1').sign(request, { signingDate: AT })
    const scope = 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request'
    assert.equal(
      sent['authorization'],
      `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=${signed}, Signature=${signature}`,
    )
  })
}

const KEYS = [
  'photos/cat.jpg',
  ' plus+and space ',
  'percent%2Fslash%',
  '../up/./and\\..\\down/..',
  '/leading//double/trailing/',
  'composed é, 猫/кот/😀',
  `marks*()!~_-'<>{}|^[]"\`?x=1&y=2#z;:@=,$`,
] as const

/** Everything that decides about the URL. */
const PLACES = [
  { bucket: 'my-bucket', region: 'eu-west-1', forcePathStyle: false },
  { bucket: 'my-bucket', region: 'eu-west-1', forcePathStyle: true },
  { bucket: 'my.dotted.bucket', region: 'eu-west-1', forcePathStyle: false },
  { bucket: 'my-bucket', region: 'cn-north-1', forcePathStyle: false },
  { bucket: 'my-bucket', region: 'us-east-1', forcePathStyle: true, endpoint: 'http://127.0.0.1:9000' },
  { bucket: 'my-bucket', region: 'us-east-1', forcePathStyle: true, endpoint: 'https://s3.example.com/with/prefix/' },
  { bucket: 'my-bucket', region: 'us-east-1', forcePathStyle: false, endpoint: 'https://s3.example.com:8443' },
  { bucket: 'my-bucket', region: 'us-east-1', forcePathStyle: true, endpoint: 'http://[::1]:9000' },
  { bucket: 'my-bucket-x-s3alias', region: 'us-east-1', forcePathStyle: false },
] as const satisfies readonly (S3ClientSettings & { readonly bucket: string })[]

for (const { bucket, ...place } of PLACES) {
  const style = place.forcePathStyle ? 'path' : 'host name'
  const endpoint = 'endpoint' in place ? place.endpoint : 'AWS'
  test(`URLs and signed headers are the SDK's: ${bucket} in the ${style}, ${endpoint}, ${place.region}`, async (t) => {
    const { client } = connections(t, { ...place, credentials: CREDENTIALS })
    const requests = createS3Requests(client, { bucket, credentials: CREDENTIALS })
    for (const key of KEYS) {
      for (const versionId of [undefined, '../x y+z']) {
        const address = { key, ...(versionId !== undefined && { versionId }) }
        const sent = await requests.build({ method: 'HEAD', address, headers: { 'if-match': '"a"' } })
        const command = new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId, IfMatch: '"a"' })
        const wanted = await requestOf(client, command)
        assert.deepEqual({ ...Url.parse(sent) }, { ...Url.parse(wanted) })
        assert.deepEqual(lastingPart(sent.headers), lastingPart(wanted.headers))
      }
    }
  })
}

const Url = z.object({
  method: z.literal('HEAD'),
  protocol: z.string(),
  hostname: z.string(),
  port: z.number().optional(),
  path: z.string(),
  query: z.record(z.string(), z.string()),
})
const SdkRequest = Url.extend({ headers: z.record(z.string(), z.string()) })

/** What the SDK would send. */
async function requestOf(client: S3Client, command: HeadObjectCommand): Promise<z.output<typeof SdkRequest>> {
  let request: unknown
  command.middlewareStack.add(
    () => async (step) => {
      request = step.request
      return { response: undefined, output: { $metadata: {} } }
    },
    { step: 'finalizeRequest', priority: 'low' },
  )
  await client.send(command)
  return SdkRequest.parse(request)
}

/** Of each request, and of the SDK's attempts. */
const PASSING = new Set(['authorization', 'x-amz-date', 'amz-sdk-invocation-id', 'amz-sdk-request'])

/** The headers that all requests have, and the scope of the signature. */
function lastingPart(headers: Readonly<Record<string, string>>): unknown {
  const lasting = Object.entries(headers).filter(([name]) => !PASSING.has(name))
  return { ...Object.fromEntries(lasting), scope: headers['authorization']?.split(',')[0] }
}

test('the token of temporary credentials is sent and signed', async (t) => {
  const credentials = { ...CREDENTIALS, sessionToken: 'the token' }
  const { client } = connections(t, { region: 'us-east-1', forcePathStyle: false, credentials })
  const requests = createS3Requests(client, { bucket: 'my-bucket', credentials })
  const { headers } = await requests.build({ method: 'HEAD', address: { key: 'cat' }, headers: {} })
  assert.equal(headers['x-amz-security-token'], 'the token')
  assert.match(headers['authorization'] ?? '', /SignedHeaders=[^,]*;x-amz-security-token[;,]/)
})

test('requests to a bucket that is open to all carry nothing of credentials', async (t) => {
  const { client } = connections(t, { region: 'us-east-1', forcePathStyle: false, credentials: 'anonymous' })
  const requests = createS3Requests(client, { bucket: 'my-bucket', credentials: 'anonymous' })
  const { headers, query } = await requests.build({ method: 'GET', address: { key: 'cat' }, headers: {} })
  assert.deepEqual(Object.keys(headers).toSorted(), ['host', 'user-agent', 'x-amz-user-agent'])
  assert.deepEqual(query, {})
})

test('signatures have the time of the server, and so have those of the SDK', async (t) => {
  const { client } = connections(t, { region: 'us-east-1', forcePathStyle: false, credentials: CREDENTIALS })
  const requests = createS3Requests(client, { bucket: 'my-bucket', credentials: CREDENTIALS })
  const dateOf = async () =>
    (await requests.build({ method: 'GET', address: { key: 'cat' }, headers: {} })).headers['x-amz-date']
  await dateOf()
  t.mock.timers.enable({ apis: ['Date'], now: AT })
  assert.equal(await dateOf(), '20130524T000000Z')
  requests.followClock('Fri, 24 May 2013 02:00:01 GMT')
  assert.equal(await dateOf(), '20130524T020001Z')
  assert.equal(client.config.systemClockOffset, 7_201_000)
  for (const useless of [undefined, '', 'now']) requests.followClock(useless)
  assert.equal(await dateOf(), '20130524T020001Z')
  requests.followClock('2013-05-23T23:00:00Z')
  assert.equal(await dateOf(), '20130523T230000Z')
})

function connections(t: TestContext, settings: S3ClientSettings) {
  const made = createS3Connections(settings, S3_LIMITS)
  t.after(made.close)
  return made
}
