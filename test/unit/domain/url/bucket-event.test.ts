import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type BucketEvent, parseBucketEvents } from '../../../../src/domain/url/bucket-event.ts'
import { RequestError } from '../../../../src/errors.ts'

const put = (key: string, etag: string, versionId?: string) => told('created', key, etag, versionId)
const removal = (key: string, versionId?: string, etag?: string) => told('removed', key, etag, versionId)

const PUTS = [
  put('plain.jpg', 'ea253c727d361a04c2de2ddae232bf69'),
  put('with space/a b.jpg', '6f1d6a475c70b75817bb4558f7af3595'),
  put('plus+plus', 'a723a726337e1624dd5f2c2ddfa3cdd6'),
  put('percent%2Fslash%25', '60bb93b0754fea62ef18a7f5189c7912'),
  put('composed \u00e9', 'e483b892697f46111928eaab369087f0'),
  put('decomposed e\u0301', '421a2453f58e034a130f5136d92eda8e'),
  put('猫/😀', '6690346647a73828eb057502d32afa1b'),
  put('.hidden/..twice/...', 'e8a7c5342e22a5ec4f0ad7bfd99385fe'),
  put(`?x=1&y=2#z;:@=,'"<>`, '8bc4b52118007b8439f78438fa34af81'),
  put('plain.jpg', '6eff3450105497cc2ce22ea267f564ba'),
  put('in parts+', '91468a0dab8741a8abea05e13ceac482-1'),
] as const
const COPY = put('a copy of it', '6eff3450105497cc2ce22ea267f564ba')

/** What real servers sent, message by message. */
const RECORDED: Readonly<Record<string, readonly (BucketEvent | 'nothing')[]>> = {
  minio: [
    ...PUTS,
    // Somebody looked at it.
    'nothing',
    COPY,
    // It was given tags.
    'nothing',
    removal('plain.jpg'),
    removal('percent%2Fslash%25'),
    removal('plus+plus'),
    removal('猫/😀'),
    put('versioned', '5c9d9833308d3ca15785b015f2f2c399', '538247de-08d2-4b6f-955a-401f4b534c12'),
    put('versioned', 'a9f0e61a137d86aa9db53465e0801612', 'ce1a018f-cd5c-4249-8e6a-812cf8e9fbb1'),
    removal('versioned', '538247de-08d2-4b6f-955a-401f4b534c12'),
    // The mark of a deletion, and the removal of that mark.
    removal('versioned', '88687b09-2cc4-4117-8d2f-da814e804db9'),
    removal('versioned', '88687b09-2cc4-4117-8d2f-da814e804db9'),
  ],
  ceph: [
    ...PUTS,
    COPY,
    removal('plain.jpg', undefined, '6eff3450105497cc2ce22ea267f564ba'),
    removal('percent%2Fslash%25', undefined, '60bb93b0754fea62ef18a7f5189c7912'),
    put('versioned', '5c9d9833308d3ca15785b015f2f2c399', 'c7jUIxJPQLkiA8KKG0QKOdrV7KkcyHT'),
    put('versioned', 'a9f0e61a137d86aa9db53465e0801612', '.D6OhfIE2YbTHrJ7wPseqbhT2mwNtlL'),
    removal('versioned', 'c7jUIxJPQLkiA8KKG0QKOdrV7KkcyHT', '5c9d9833308d3ca15785b015f2f2c399'),
    removal('versioned', undefined, 'a9f0e61a137d86aa9db53465e0801612'),
    removal('versioned', 'ptaYtbz7elsRC8sz0xcTaKUqz9Dahqq'),
  ],
}
for (const [server, expected] of Object.entries(RECORDED)) {
  test(`what a real ${server} sent is understood`, () => {
    const messages = readFileSync(join(import.meta.dirname, `../../../fixtures/events-${server}.jsonl`), 'utf8')
    const events = messages
      .trimEnd()
      .split('\n')
      .map((message) => parseBucketEvents(message))
    assert.deepEqual(
      events,
      expected.map((event) => (event === 'nothing' ? [] : [event])),
    )
  })
}

const AWS_RECORD = {
  eventVersion: '2.1',
  eventSource: 'aws:s3',
  awsRegion: 'eu-central-1',
  eventName: 'ObjectCreated:Put',
  s3: {
    bucket: { name: 'photos' },
    object: {
      key: 'red+flower%2B1/%C3%A9.jpg',
      size: 1024,
      eTag: '0a',
      versionId: 'v1',
      sequencer: '0055AED6DCD90281E5',
    },
  },
}

test("AWS' messages have several records, and keys as in a form", () => {
  const removed = { ...AWS_RECORD, eventName: 'ObjectRemoved:DeleteMarkerCreated' }
  assert.deepEqual(parse({ Records: [AWS_RECORD, removed] }), [
    put('red flower+1/é.jpg', '0a', 'v1'),
    removal('red flower+1/é.jpg', 'v1', '0a'),
  ])
})

test('a message without events, and a test message, are nothing', () => {
  assert.deepEqual(parse({ Records: [] }), [])
  assert.deepEqual(parse({ EventName: '', Key: '', Records: null }), [])
  assert.deepEqual(parse({ Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: 'photos' }), [])
})

const KINDS: Readonly<Record<string, BucketEvent['kind'] | undefined>> = {
  'ObjectCreated:Put': 'created',
  's3:ObjectCreated:Post': 'created',
  's3:ObjectCreated:Copy': 'created',
  'ObjectCreated:CompleteMultipartUpload': 'created',
  'ObjectSynced:Create': 'created',
  'ObjectRemoved:Delete': 'removed',
  's3:ObjectRemoved:DeleteMarkerCreated': 'removed',
  'LifecycleExpiration:Delete': 'removed',
  's3:ObjectLifecycle:Expiration:Current': 'removed',
  'ObjectSynced:DeletionMarkerCreated': 'removed',
  's3:ObjectCreated:PutTagging': undefined,
  's3:ObjectCreated:PutRetention': undefined,
  's3:ObjectAccessed:Get': undefined,
  'ObjectTagging:Delete': undefined,
  'ObjectAcl:Put': undefined,
  'ObjectLifecycle:Expiration:AbortMultipartUpload': undefined,
  's3:ReducedRedundancyLostObject': undefined,
  's3:BucketCreated:*': undefined,
}
for (const [eventName, kind] of Object.entries(KINDS)) {
  test(`${eventName} is ${kind ?? 'nothing to us'}`, () => {
    const kinds = parse({ Records: [{ ...AWS_RECORD, eventName }] }).map((event) => event.kind)
    assert.deepEqual(kinds, kind === undefined ? [] : [kind])
  })
}

test('what is nothing to us need have no object', () => {
  assert.deepEqual(parse({ Records: [{ eventName: 's3:BucketCreated:*' }] }), [])
})

const { s3 } = AWS_RECORD
const WRONG: readonly (readonly [body: string, message: string])[] = [
  ['', 'The body should be a JSON object with "Records"'],
  ['<xml/>', 'The body should be a JSON object with "Records"'],
  ['"text"', 'The body should be a JSON object with "Records"'],
  ['[]', 'The body should be a JSON object with "Records"'],
  ['{}', '"Records" should be a list'],
  ['{"Records":{}}', '"Records" should be a list'],
  ['{"Records":[1]}', '"Records[0]" should be an object'],
  ['{"Records":[{}]}', '"Records[0].eventName" should be a string'],
  [record({ s3: undefined }), '"Records[0].s3" should be an object'],
  [record({ s3: { ...s3, bucket: [] } }), '"Records[0].s3.bucket" should be an object'],
  [record({ s3: { ...s3, bucket: { name: '' } } }), '"Records[0].s3.bucket.name" should be a string'],
  [record({ s3: { ...s3, object: { key: 1 } } }), '"Records[0].s3.object.key" should be a string'],
  [
    record({ s3: { ...s3, object: { key: '100%' } } }),
    '"Records[0].s3.object.key" should be form-encoded, as in a+b%2Bc.jpg',
  ],
]
for (const [body, message] of WRONG) {
  test(`${body.slice(0, 40)} is no message: ${message}`, () => {
    assert.throws(
      () => parseBucketEvents(body),
      (error) => {
        assert.ok(error instanceof RequestError)
        assert.deepEqual([error.code, error.message], ['invalid_event', message])
        return true
      },
    )
  })
}

function told(kind: BucketEvent['kind'], key: string, etag?: string, versionId?: string): BucketEvent {
  return {
    bucket: 'photos',
    key,
    kind,
    ...(etag !== undefined && { etag: `"${etag}"` }),
    ...(versionId !== undefined && { versionId }),
  }
}

function parse(message: unknown): readonly BucketEvent[] {
  return parseBucketEvents(JSON.stringify(message))
}

function record(change: object): string {
  return JSON.stringify({ Records: [{ ...AWS_RECORD, ...change }] })
}
