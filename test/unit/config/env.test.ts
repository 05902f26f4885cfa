import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Config, ConfigError, loadConfig, misspelledNames, settingsWithoutMode } from '../../../src/config/env.ts'
import { parseAddressBlock, parseDnsServer } from '../../../src/domain/network/ip-address.ts'
import { parseRemoteHost } from '../../../src/domain/network/remote-hosts.ts'
import { parseSpec } from '../../../src/domain/spec/spec.ts'
import { FOREIGN_ENVIRONMENTS, serviceVariables } from '../../support/foreign-environments.ts'

const TOKEN = '0123456789abcdef'

/** The mistakes that are reported, one a line. */
function mistakes(env: Readonly<Record<string, string>>): string[] {
  try {
    loadConfig(env)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message.split('\n')
  }
  return []
}

test('Nothing needs to be set', () => {
  const { STORE, HOST, PORT, SIZE_POLICY, UPLOAD_TOKENS, MAX_UPLOAD_BYTES, PUBLIC_URL } = loadConfig({})
  assert.deepEqual([STORE, HOST, PORT, SIZE_POLICY], ['file:./data', '127.0.0.1', 8080, 'open'])
  assert.deepEqual([UPLOAD_TOKENS, MAX_UPLOAD_BYTES, PUBLIC_URL], [[], 64 * 2 ** 20, ''])
})

test('An empty or blank variable is one that is not set', () => {
  const blank = Object.fromEntries(Object.keys(loadConfig({})).map((name) => [name, '']))
  assert.deepEqual(loadConfig(blank), loadConfig({}))
  assert.deepEqual(loadConfig({ PORT: undefined, STORE: ' ' }), loadConfig({}))
})

const READ: readonly (readonly [Readonly<Record<string, string>>, Partial<Config>])[] = [
  [{ PORT: '0' }, { PORT: 0 }],
  [{ STORE: 's3://my.bucket-1' }, { STORE: 's3://my.bucket-1' }],
  [{ MAX_UPLOAD_BYTES: '1.5G' }, { MAX_UPLOAD_BYTES: 1.5 * 2 ** 30 }],
  [{ PUBLIC_URL: 'https://img.example/pictures//' }, { PUBLIC_URL: 'https://img.example/pictures' }],
  [{ UPLOAD_TOKENS: ` ${TOKEN}  ${TOKEN}2\n` }, { UPLOAD_TOKENS: [TOKEN, `${TOKEN}2`] }],
  [{ EVENT_TOKENS: TOKEN }, { EVENT_TOKENS: [TOKEN], UPLOAD_TOKENS: [] }],
  [{ BUCKETS_FILE: 'buckets.yaml' }, { BUCKETS_FILE: 'buckets.yaml' }],
  [{ HOST: '0.0.0.0' }, { HOST: '0.0.0.0', UPLOAD_TOKENS: [] }],
  [{ ACCEL_PREFIX: '/_renditions/' }, { ACCEL_PREFIX: '/_renditions/', UPLOAD_TOKENS: [] }],
  [{ SIZE_POLICY: 'list', SIZES: '400w 100s,2x' }, { SIZES: ['400w', '100s,2x'].map(parseSpec) }],
  [{ SIZE_POLICY: 'signed', URL_KEYS: TOKEN }, { URL_KEYS: [TOKEN] }],
  [
    { SIZE_POLICY: 'steps', SIZE_STEPS: '400 800' },
    { SIZE_STEPS: [400, 800], SIZES: [] },
  ],
  [{ STORE: 's3://bucket', S3_FORCE_PATH_STYLE: 'false' }, { S3_FORCE_PATH_STYLE: false }],
  [{ INPUT_FORMATS: 'jpeg tiff' }, { INPUT_FORMATS: ['jpeg', 'tiff'] }],
  [{}, { REMOTE_HOSTS: [], REMOTE_ALLOW_ADDRESSES: [], REMOTE_DNS: [], REMOTE_TIMEOUT_SECONDS: 14 }],
  [
    { REMOTE_HOSTS: '*.example.com  bücher.example' },
    { REMOTE_HOSTS: ['*.example.com', 'bücher.example'].map(parseRemoteHost) },
  ],
  [
    { REMOTE_ALLOW_ADDRESSES: '10.1.0.0/16 ::1' },
    { REMOTE_ALLOW_ADDRESSES: ['10.1.0.0/16', '::1'].map(parseAddressBlock) },
  ],
  [{ REMOTE_HOSTS: '*', SIZE_POLICY: 'signed', URL_KEYS: TOKEN }, { REMOTE_HOSTS: ['*'].map(parseRemoteHost) }],
  [{ CACHE_TAG_HEADERS: 'surrogate-key, xkey' }, { CACHE_TAG_HEADERS: ['Surrogate-Key', 'xkey'] }],
  [{}, { CACHE_TAG_HEADERS: ['Cache-Tag'] }],
  [{ TRUSTED_PROXIES: '10.0.0.0/8 ::1' }, { TRUSTED_PROXIES: ['10.0.0.0/8', '::1'].map(parseAddressBlock) }],
  [{ REMOTE_DNS: '192.0.2.53:5353' }, { REMOTE_DNS: ['192.0.2.53:5353'].map(parseDnsServer) }],
  [{ REMOTE_DEFAULT_FRESH_SECONDS: '0' }, { REMOTE_DEFAULT_FRESH_SECONDS: 0 }],
]
for (const [env, expected] of READ) {
  test(`${JSON.stringify(env)} is read`, () => assert.partialDeepStrictEqual(loadConfig(env), expected))
}

const WRONG: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
  [{ PORT: '65536' }, /^PORT: /],
  [{ PORT: 'http' }, /^PORT: /],
  [{ PORT: '80.5' }, /^PORT: /],
  [{ STORE: 'data' }, /^STORE: /],
  [{ STORE: 's3://' }, /^STORE: /],
  [{ STORE: 's3://Bucket' }, /^STORE: /],
  [
    { STORE: 's3://bucket', S3_ENDPOINT: 'minio:9000' },
    /^S3_ENDPOINT: should begin with .* https:\/\/s3\.example\.net:9000$/,
  ],
  [
    { STORE: 's3://bucket', S3_ENDPOINT: 'not a URL' },
    /^S3_ENDPOINT: should begin with .* https:\/\/s3\.example\.net:9000$/,
  ],
  [
    { STORE: 's3://bucket', S3_ENDPOINT: 'https://' },
    /^S3_ENDPOINT: should begin with .* https:\/\/s3\.example\.net:9000$/,
  ],
  [{ S3_ENDPOINT: 'https://s3.example' }, /^S3_ENDPOINT: has no effect without STORE=s3:/],
  [{ PUBLIC_URL: 'ftp://img.example' }, /^PUBLIC_URL: should begin with .* https:\/\/img\.example\.com$/],
  [{ CACHE_MAX_BYTE: '1G' }, /^CACHE_MAX_BYTE: unknown setting\. Did you mean CACHE_MAX_BYTES\?/],
  [{ CACHE_TAG_HEADERS: 'Cache-Tag,Tags', UPLOAD_TOKENS: TOKEN }, /^CACHE_TAG_HEADERS: "Tags" .*xkey/],
  [{ ACCEL_PREFIX: '_renditions', UPLOAD_TOKENS: TOKEN }, /^ACCEL_PREFIX: /],
  [{ ACCEL_PREFIX: '/_renditions', UPLOAD_TOKENS: TOKEN }, /^ACCEL_PREFIX: /],
  [{ UPLOAD_TOKENS: `${TOKEN} short` }, /^UPLOAD_TOKENS: .*16/],
  [{ EVENT_TOKENS: 'short' }, /^EVENT_TOKENS: .*16/],
  [{ SIZE_POLICY: 'closed' }, /^SIZE_POLICY: /],
  [{ SIZE_POLICY: 'list' }, /^SIZES: is required/],
  [{ SIZE_POLICY: 'list', SIZES: ' ' }, /^SIZES: is required/],
  [{ SIZE_POLICY: 'list', SIZES: '400w nonsense' }, /^SIZES: .*nonsense/],
  [{ SIZE_POLICY: 'steps', SIZE_STEPS: '400 800w' }, /^SIZE_STEPS: "800w" should be a whole number of pixels/],
  [
    { SIZE_POLICY: 'steps', SIZE_STEPS: '400', MAX_SIDE: '300' },
    /^SIZE_STEPS: the smallest step, 400, .* 300 \(MAX_SIDE\)/,
  ],
  [
    { SIZE_POLICY: 'steps', PRIME_SIZES: '300w 400w,q80' },
    /^PRIME_SIZES: "400w,q80" is not served with SIZE_POLICY=steps/,
  ],
  [{ SIZES: '400w' }, /^SIZES: has no effect without SIZE_POLICY=list/],
  [{ SIZE_POLICY: 'signed' }, /^URL_KEYS: is required/],
  [{ SIZE_POLICY: 'signed', URL_KEYS: ' ' }, /^URL_KEYS: is required/],
  [{ SIZE_POLICY: 'signed', URL_KEYS: 'short' }, /^URL_KEYS: .*16/],
  [{ URL_KEYS: TOKEN }, /^URL_KEYS: has no effect without SIZE_POLICY=signed/],
  [{ AWS_ACCESS_KEY_ID: 'x' }, /^AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: /],
  [{ INPUT_FORMATS: 'jpeg bmp' }, /^INPUT_FORMATS: .*bmp/],
  [{ REMOTE_HOSTS: 'example.com *' }, /^REMOTE_HOSTS: "\*" requires SIZE_POLICY=signed: /],
  [
    { REMOTE_HOSTS: 'https://*', SIZE_POLICY: 'list', SIZES: '400w' },
    /^REMOTE_HOSTS: "\*" requires SIZE_POLICY=signed: /,
  ],
  [{ REMOTE_HOSTS: '*.*' }, /^REMOTE_HOSTS: "\*\.\*" should be a host such as example\.com/],
  [{ REMOTE_HOSTS: 'example.com?v&w' }, /^REMOTE_HOSTS: "example\.com\?v&w" should list query parameters/],
  [{ REMOTE_HOSTS: 'ftp://example.com' }, /^REMOTE_HOSTS: "ftp:\/\/example.com" should start with http:\/\//],
  [{ REMOTE_ALLOW_ADDRESSES: '10.1.2.3/16' }, /^REMOTE_ALLOW_ADDRESSES: .*"10\.1\.0\.0\/16"/],
  [
    { REMOTE_ALLOW_ADDRESSES: 'localhost' },
    /^REMOTE_ALLOW_ADDRESSES: "localhost" should be an address or a CIDR block/,
  ],
  [{ TRUSTED_PROXIES: 'cdn.example' }, /^TRUSTED_PROXIES: "cdn\.example" should be an address or a CIDR block/],
  [{ REMOTE_DNS: 'dns.example' }, /^REMOTE_DNS: "dns\.example" should be the address of a DNS server/],
  [{ REMOTE_TIMEOUT_SECONDS: '0' }, /^REMOTE_TIMEOUT_SECONDS: /],
  [{ REMOTE_MAX_BYTES: 'lots' }, /^REMOTE_MAX_BYTES: should be a number of bytes such as/],
  [{ REMOTE_NEW_PER_MINUTE: '0' }, /^REMOTE_NEW_PER_MINUTE: /],
  [{ REMOTE_NEW_PER_MINUTE: '10', REMOTE_NEW_PER_CLIENT: '11' }, /^REMOTE_NEW_PER_CLIENT: should be at most 10/],
  [{ REMOTE_DEFAULT_FRESH_SECONDS: '-1' }, /^REMOTE_DEFAULT_FRESH_SECONDS: /],
  [{ MAX_UPLOAD_BYTES: '0' }, /^MAX_UPLOAD_BYTES: /],
  [{ MAX_UPLOAD_BYTES: '64 megabytes' }, /^MAX_UPLOAD_BYTES: /],
  [{ MEMORY_CACHE_BYTES: '0' }, /^MEMORY_CACHE_BYTES: /],
  [{ CACHE_MAX_IDLE_DAYS: '1' }, /^CACHE_MAX_IDLE_DAYS: /],
  [{ MAX_PIXELS: '0' }, /^MAX_PIXELS: /],
  [{ MAX_SIDE: '16384' }, /^MAX_SIDE: /],
  [{ RENDER_CONCURRENCY: '0' }, /^RENDER_CONCURRENCY: /],
  [{ RENDER_QUEUE_MAX: 'Infinity' }, /^RENDER_QUEUE_MAX: /],
  [{ RENDER_WAIT_MAX_SECONDS: '0' }, /^RENDER_WAIT_MAX_SECONDS: /],
  [
    { RENDER_TIMEOUT_SECONDS: '60' },
    /^REQUEST_TIMEOUT_SECONDS: should be more than 75, the sum of RENDER_WAIT_MAX_SECONDS and RENDER_TIMEOUT_SECONDS, /,
  ],
  [
    { REMOTE_HOSTS: 'example.com', REMOTE_TIMEOUT_SECONDS: '20' },
    /^REQUEST_TIMEOUT_SECONDS: should be more than 32, the sum of REMOTE_TIMEOUT_SECONDS and RENDER_TIMEOUT_SECONDS, /,
  ],
  [{ REQUEST_TIMEOUT_SECONDS: '10' }, /^REQUEST_TIMEOUT_SECONDS: should be more than 27, /],
  [{ LOG_LEVEL: 'loud' }, /^LOG_LEVEL: /],
]
for (const [env, expected] of WRONG) {
  test(`${JSON.stringify(env)} is a mistake`, () => {
    const [first = '', ...more] = mistakes(env)
    assert.match(first, expected)
    assert.deepEqual(more, [])
  })
}

test('All mistakes are reported together, of single settings and of several that contradict each other', () => {
  const names = mistakes({ PORT: 'x', STORE: 'y', UPLOAD_TOKENS: 'z', SIZE_POLICY: 'list', AWS_ACCESS_KEY_ID: 'z' })
  assert.deepEqual(names.map((line) => line.replace(/:.*/, '')).toSorted(), [
    'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    'PORT',
    'SIZES',
    'STORE',
    'UPLOAD_TOKENS',
  ])
})

test('No mistake repeats a secret', () => {
  const secrets = { UPLOAD_TOKENS: 'tooshort1', URL_KEYS: 'tooshort2', AWS_SECRET_ACCESS_KEY: 'tooshort3' }
  assert.doesNotMatch(mistakes(secrets).join('\n'), /tooshort/)
})

const SETTINGS = Object.keys(loadConfig({}))

const MISSPELLED = {
  CACHE_MAX_BYTE: 'CACHE_MAX_BYTES',
  UPLOAD_TOKEN: 'UPLOAD_TOKENS',
  UPLAOD_TOKENS: 'UPLOAD_TOKENS',
  UPLOADTOKENS: 'UPLOAD_TOKENS',
  URL_KEY: 'URL_KEYS',
  DIALECT: 'DIALECTS',
  CACHEDIR: 'CACHE_DIR',
  S3_ENDPOINT_: 'S3_ENDPOINT',
  REMOTE_HOST: 'REMOTE_HOSTS',
  AWS_SECRET_ACESS_KEY: 'AWS_SECRET_ACCESS_KEY',
} as const
for (const [name, meant] of Object.entries(MISSPELLED)) {
  test(`${name} is refused, and ${meant} suggested`, () => {
    assert.throws(
      () => loadConfig({ [name]: 'a value of 16 characters or more' }),
      (error) => {
        assert.ok(error instanceof ConfigError)
        assert.match(error.message, new RegExp(`^${name}: unknown setting\\. Did you mean ${meant}\\?`, 'm'))
        // It may be a secret.
        assert.doesNotMatch(error.message, /a value/)
        return true
      },
    )
  })
}

test('Each setting of eight letters or more is suggested for its name with one or two letters wrong', () => {
  // Docker's links end with _NAME.
  const long = SETTINGS.filter((name) => name.length >= 8 && !name.endsWith('_NAME'))
  assert.ok(long.length > 40)
  for (const name of long) {
    const wrong = [`${name}X`, name.slice(1), `${name.slice(0, 3)}QQ${name.slice(5)}`, name.replace('_', '')]
    for (const spelling of wrong.filter((text) => !SETTINGS.includes(text))) {
      const [mistake = 'none', ...more] = misspelledNames([spelling], SETTINGS, new Set())
      assert.match(mistake, new RegExp(`^${spelling}: .* ${name}\\?`))
      assert.deepEqual(more, [])
    }
  }
})

test('A name with three letters wrong, a short one and a blank one are left alone', () => {
  assert.deepEqual(
    misspelledNames(['CACHE_MAX_B', 'POST', 'STORED', 'SIZE', 'HOSTS', 'PORTS'], SETTINGS, new Set()),
    [],
  )
  loadConfig({ UPLOAD_TOKEN: ' ' })
})

for (const [name, variables] of Object.entries(FOREIGN_ENVIRONMENTS)) {
  test(`The environment of ${name} starts without a refusal`, () => {
    loadConfig(Object.fromEntries(variables.map((variable) => [variable, 'tcp://10.0.0.1:8080'])))
  })
}

test('A service in Kubernetes may have any name', () => {
  const words = SETTINGS.flatMap((name) => name.split('_').map((_, index, all) => all.slice(0, index + 1).join('_')))
  const variables = [...new Set(words)].flatMap(serviceVariables).filter((name) => !SETTINGS.includes(name))
  assert.deepEqual(misspelledNames(variables, SETTINGS, new Set()), [])
})

test('What the file of buckets refers to may be near a setting', () => {
  const env = { AWS_ACCESS_KEY_ID_2: 'an id', AWS_SECRET_ACCESS_KEY_B: 'a secret' }
  assert.throws(() => loadConfig(env), ConfigError)
  loadConfig(env, new Set(Object.keys(env)))
})

const KEY = '0123456789abcdef'

const WITHOUT = [
  [{ SIZES: '400w' }, 'SIZES', 'SIZE_POLICY=list'],
  [{ SIZES: '400w', SIZE_POLICY: 'open' }, 'SIZES', 'SIZE_POLICY=list'],
  [{ SIZES: '400w', SIZE_POLICY: 'signed', URL_KEYS: KEY }, 'SIZES', 'SIZE_POLICY=list'],
  [{ SIZES_FALLBACK: 'redirect' }, 'SIZES_FALLBACK', 'SIZE_POLICY=list or steps'],
  [{ SIZE_STEPS: '400 800' }, 'SIZE_STEPS', 'SIZE_POLICY=steps'],
  [{ SIZE_STEPS: '400 800', SIZE_POLICY: 'list', SIZES: '400w' }, 'SIZE_STEPS', 'SIZE_POLICY=steps'],
  [{ URL_KEYS: KEY, SIZE_POLICY: 'steps' }, 'URL_KEYS', 'SIZE_POLICY=signed'],
  [{ URL_KEYS: KEY }, 'URL_KEYS', 'SIZE_POLICY=signed'],
  [{ URL_KEYS: KEY, SIZE_POLICY: 'list', SIZES: '400w' }, 'URL_KEYS', 'SIZE_POLICY=signed'],
  [{ S3_ENDPOINT: 'https://s3.example' }, 'S3_ENDPOINT', 'STORE=s3://<bucket>'],
  [{ S3_REGION: 'eu-central-1', STORE: 'file:./data' }, 'S3_REGION', 'STORE=s3://<bucket>'],
  [{ THUMBOR_KEYS: 'key', DIALECTS: 'ipx=/ipx' }, 'THUMBOR_KEYS', 'thumbor or imagor in DIALECTS'],
  [{ IMGPROXY_KEYS: 'ab:cd' }, 'IMGPROXY_KEYS', 'imgproxy in DIALECTS'],
  [{ IPX_BASE: 'image/', DIALECTS: 'thumbor=/ipx=' }, 'IPX_BASE', 'ipx in DIALECTS'],
  [{ DIALECT_FORMAT: 'negotiated' }, 'DIALECT_FORMAT', 'DIALECTS, such as'],
] as const
for (const [given, setting, needs] of WITHOUT) {
  test(`${JSON.stringify(given)} is refused, since ${setting} has no effect`, () => {
    const [mistake = 'none', ...more] = settingsWithoutMode(given)
    assert.ok(mistake.startsWith(`${setting}: has no effect without ${needs}`), mistake)
    assert.deepEqual(more, [])
  })
}

const WITH = [
  { SIZE_POLICY: 'list', SIZES: '400w', SIZES_FALLBACK: 'redirect' },
  { SIZE_POLICY: 'signed', URL_KEYS: KEY },
  { SIZE_POLICY: 'steps', SIZE_STEPS: '400 800', SIZES: '400w,q80', SIZES_FALLBACK: 'redirect' },
  { STORE: 's3://bucket', S3_ENDPOINT: 'https://s3.example', S3_REGION: 'eu', S3_FORCE_PATH_STYLE: 'false' },
  { DIALECTS: 'imagor=/imagor', THUMBOR_KEYS: 'key', THUMBOR_HASH: 'sha256', DIALECT_FORMAT: 'source' },
  { DIALECTS: 'thumbor=/t imgproxy=img.example', IMGPROXY_BASE: 'image/', THUMBOR_BASE: 'https://' },
  // Other programs use these too.
  { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' },
  // Misspelled modes are reported themselves.
  { SIZE_POLICY: 'lst', SIZES: '400w', URL_KEYS: KEY },
  { STORE: 's3:bucket', S3_ENDPOINT: 'https://s3.example' },
] as const
for (const given of WITH) {
  test(`${JSON.stringify(given)} belong together`, () => assert.deepEqual(settingsWithoutMode(given), []))
}
