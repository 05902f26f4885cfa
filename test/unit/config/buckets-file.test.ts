import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadBuckets, parseBuckets } from '../../../src/config/buckets-file.ts'
import { ConfigError } from '../../../src/config/env.ts'
import { parseSpec } from '../../../src/domain/spec/spec.ts'

const ENV = { KEY: 'AKIA1', SECRET: 'a secret', TOKEN: 'a token', BLANK: ' ' }

const FULL = `
# Photos of the shop
buckets:
  photos:
    bucket: my-photos
    endpoint: https://minio.internal:9000
    region: eu-central-1
    pathStyle: false
    accessKeyId: $KEY
    secretAccessKey: \${SECRET}
    sessionToken: $TOKEN
    freshSeconds: 0
    staleWhileRevalidateSeconds: 5
    staleIfErrorSeconds: 7
    primeSizes: [400w, "200s,2x"]
    keyPrefix: public/
  open.data: { anonymous: true }
`

test('a file of YAML is read, with what it leaves out', () => {
  assert.deepEqual(parseBuckets(FULL, ENV), [
    {
      alias: 'photos',
      bucket: 'my-photos',
      endpoint: 'https://minio.internal:9000',
      region: 'eu-central-1',
      pathStyle: false,
      credentials: { accessKeyId: 'AKIA1', secretAccessKey: 'a secret', sessionToken: 'a token' },
      freshSeconds: 0,
      staleWhileRevalidateSeconds: 5,
      staleIfErrorSeconds: 7,
      primeSizes: ['400w', '200s,2x'].map(parseSpec),
      keyPrefix: 'public/',
    },
    {
      alias: 'open.data',
      bucket: 'open.data',
      region: 'us-east-1',
      pathStyle: true,
      credentials: 'anonymous',
      freshSeconds: 60,
      staleWhileRevalidateSeconds: 60,
      staleIfErrorSeconds: 86_400,
      primeSizes: [],
      keyPrefix: '',
    },
  ])
})

test('the same in JSON is the same', () => {
  const json = {
    buckets: {
      photos: {
        bucket: 'my-photos',
        endpoint: 'https://minio.internal:9000',
        region: 'eu-central-1',
        pathStyle: false,
        accessKeyId: '$KEY',
        secretAccessKey: '${SECRET}',
        sessionToken: '$TOKEN',
        freshSeconds: 0,
        staleWhileRevalidateSeconds: 5,
        staleIfErrorSeconds: 7,
        primeSizes: ['400w', '200s,2x'],
        keyPrefix: 'public/',
      },
      'open.data': { anonymous: true },
    },
  }
  assert.deepEqual(parseBuckets(JSON.stringify(json, null, 2), ENV), parseBuckets(FULL, ENV))
})

test('without credentials it is for the SDK to find some', () => {
  assert.equal(parseBuckets('buckets: { a: { bucket: abc } }', ENV)[0]?.credentials, undefined)
})

test('a file that names no buckets has none', () => {
  assert.deepEqual(parseBuckets('buckets: {}', ENV), [])
})

/** Of one bucket `abc`, whose settings are these. */
const WRONG: readonly (readonly [settings: string, mistake: string])[] = [
  ['colour: red', 'buckets.abc: unknown setting colour'],
  [
    'bucket: a/b',
    'buckets.abc.bucket: should be a bucket name of 3 to 255 letters, digits, dots, dashes and underscores, such as my-photos',
  ],
  ['bucket: 12345', 'buckets.abc.bucket: should be a string'],
  ['endpoint: minio', 'buckets.abc.endpoint: should be a URL such as https://minio.internal:9000'],
  ['endpoint: minio:9000', 'buckets.abc.endpoint: should be a URL such as https://minio.internal:9000'],
  ['endpoint: ftp://minio', 'buckets.abc.endpoint: should be a URL such as https://minio.internal:9000'],
  [
    'endpoint: https://me:pass@minio',
    'buckets.abc.endpoint: should be without user name, password, query and fragment',
  ],
  ['endpoint: https://minio/?x=1', 'buckets.abc.endpoint: should be without user name, password, query and fragment'],
  ['region: ""', 'buckets.abc.region: should not be empty'],
  ['pathStyle: "yes"', 'buckets.abc.pathStyle: should be true or false'],
  ['freshSeconds: 1.5', 'buckets.abc.freshSeconds: should be a whole number of seconds'],
  ['freshSeconds: 1m', 'buckets.abc.freshSeconds: should be a whole number of seconds'],
  ['staleIfErrorSeconds: -1', 'buckets.abc.staleIfErrorSeconds: should be at least 0'],
  [
    'staleWhileRevalidateSeconds: 40000000',
    'buckets.abc.staleWhileRevalidateSeconds: should be at most 31536000, a year',
  ],
  ['primeSizes: 400w', 'buckets.abc.primeSizes: should be a list of sizes, such as [400w, 800w]'],
  ['primeSizes: [400w, "200h400w"]', 'buckets.abc.primeSizes.1: "200h400w" should be written as "400w200h"'],
  [`keyPrefix: ${'x'.repeat(1025)}`, 'buckets.abc.keyPrefix: should have at most 1,024 bytes'],
  ['accessKeyId: $KEY', 'buckets.abc: accessKeyId and secretAccessKey should be set together, or neither of them'],
  [
    'secretAccessKey: $SECRET',
    'buckets.abc: accessKeyId and secretAccessKey should be set together, or neither of them',
  ],
  ['sessionToken: $TOKEN', 'buckets.abc: sessionToken requires accessKeyId and secretAccessKey'],
  [
    'accessKeyId: $KEY, secretAccessKey: $SECRET, anonymous: true',
    'buckets.abc: anonymous requests have no credentials; remove anonymous, or accessKeyId, secretAccessKey and sessionToken',
  ],
  [
    'accessKeyId: $KEY, secretAccessKey: $MISSING',
    'buckets.abc.secretAccessKey: the environment variable MISSING is not set',
  ],
  [
    'accessKeyId: "${BLANK}", secretAccessKey: $SECRET',
    'buckets.abc.accessKeyId: the environment variable BLANK is not set',
  ],
]
for (const [settings, mistake] of WRONG) {
  test(`${settings.slice(0, 60)} is refused`, () => {
    assert.deepEqual(mistakesIn(`buckets: { abc: { ${settings} } }`), [`BUCKETS_FILE: ${mistake}`])
  })
}

test('an alias too short to be the name of a bucket needs that name beside it', () => {
  assert.deepEqual(mistakesIn('buckets: { a: {} }'), [
    'BUCKETS_FILE: buckets.a.bucket: is required, because a bucket name has at least 3 characters and the alias has fewer',
  ])
})

test('a secret that stands in the file is refused, told why, and not repeated', () => {
  for (const literal of ['hunter2', '"$KEY and more"', '"$"', '"${KEY"', '!hunter2', '"*hunter2"', '*hunter2']) {
    const mistakes = mistakesIn(`buckets: { abc: { accessKeyId: $KEY, secretAccessKey: ${literal} } }`)
    assert.equal(mistakes.length, 1, literal)
    assert.match(mistakes[0] ?? '', /may not contain secrets$|requires quotes/)
    assert.doesNotMatch(mistakes[0] ?? '', /hunter2/)
  }
})

for (const alias of ['Photos', 'a/b', '-', '..', '.a', 'a-', 'ä', '', 'a b', 'x'.repeat(64)]) {
  test(`the alias ${JSON.stringify(alias).slice(0, 20)} is refused`, () => {
    const [mistake, ...others] = mistakesIn(`buckets: { ${JSON.stringify(alias)}: { bucket: abc } }`)
    assert.ok(mistake?.startsWith(`BUCKETS_FILE: buckets.${alias}: an alias should have`), mistake)
    assert.deepEqual(others, [])
  })
}

for (const alias of ['a', '0', 'my-photos.example', 'x'.repeat(63)]) {
  test(`the alias ${alias.slice(0, 20)} is taken`, () => {
    assert.equal(parseBuckets(`buckets: { "${alias}": { bucket: abc } }`, ENV)[0]?.alias, alias)
  })
}

const NO_FILES: readonly (readonly [text: string, mistake: RegExp])[] = [
  ['', /^BUCKETS_FILE: should be a map of settings$/],
  ['just text', /^BUCKETS_FILE: should be a map of settings$/],
  ['[]', /^BUCKETS_FILE: should be a map of settings$/],
  ['photos: {}', /^BUCKETS_FILE\.buckets: should be a map/m],
  ['buckets: []', /^BUCKETS_FILE\.buckets: should be a map from aliases to buckets$/],
  ['buckets: { a: 1 }', /^BUCKETS_FILE: buckets\.a: should be a map of settings$/],
  ['buckets: { a: {}', /^BUCKETS_FILE: .* at line 1, column \d+$/],
  ['buckets:\n  a: {}\n  a: {}', /^BUCKETS_FILE: Map keys must be unique at line 3, column 3$/],
  ['buckets: {}\n---\nbuckets: {}', /^BUCKETS_FILE: .*multiple documents/],
]
for (const [text, mistake] of NO_FILES) {
  test(`${JSON.stringify(text)} is no file of buckets`, () => {
    assert.match(mistakesIn(text).join('\n'), mistake)
  })
}

test('all mistakes are told at once', () => {
  const text =
    'buckets: { a: { colour: red, region: "" }, B: { bucket: abc }, ccc: { accessKeyId: $KEY, secretAccessKey: $NO } }'
  assert.deepEqual(mistakesIn(text).toSorted(), [
    'BUCKETS_FILE: buckets.B: an alias should have 1 to 63 lower-case letters, digits, dots and dashes, and begin and end with a letter or digit',
    'BUCKETS_FILE: buckets.a.region: should not be empty',
    'BUCKETS_FILE: buckets.a: unknown setting colour',
    'BUCKETS_FILE: buckets.ccc.secretAccessKey: the environment variable NO is not set',
  ])
})

test('a file is read from its path, and none is needed', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-buckets-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'buckets.yaml')
  await writeFile(path, FULL)
  assert.deepEqual(await loadBuckets(path, ENV), parseBuckets(FULL, ENV))
  assert.deepEqual(await loadBuckets('', ENV), [])
  await assert.rejects(loadBuckets(join(folder, 'none.yaml'), ENV), (error) => {
    return error instanceof ConfigError && error.message.startsWith('BUCKETS_FILE: ENOENT')
  })
})

/** The mistakes that are reported, one a line. */
function mistakesIn(text: string): string[] {
  try {
    parseBuckets(text, ENV)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message.split('\n')
  }
  return []
}
