import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseDnsServer } from '../../../../src/domain/network/ip-address.ts'
import {
  assertAllowedUrl,
  hostsAllowing,
  isEveryHost,
  parseRemoteHost,
  parseRemoteUrl,
} from '../../../../src/domain/network/remote-hosts.ts'
import { SettingError } from '../../../../src/errors.ts'

const ENTRIES = [
  ['example.com', { hostname: 'example.com', subdomains: false }],
  ['Example.COM.', { hostname: 'example.com', subdomains: false }],
  ['*.example.com', { hostname: 'example.com', subdomains: true }],
  ['https://example.com', { protocol: 'https:', hostname: 'example.com', subdomains: false }],
  ['HTTP://*.example.com:8080', { protocol: 'http:', hostname: 'example.com', subdomains: true, port: 8080 }],
  ['example.com:8443', { hostname: 'example.com', subdomains: false, port: 8443 }],
  ['bücher.example', { hostname: 'xn--bcher-kva.example', subdomains: false }],
  ['images', { hostname: 'images', subdomains: false }],
  ['my_host.example', { hostname: 'my_host.example', subdomains: false }],
  ['192.0.2.7', { hostname: '192.0.2.7', subdomains: false }],
  ['[2001:DB8:0::7]:81', { hostname: '[2001:db8::7]', subdomains: false, port: 81 }],
  ['*', { subdomains: false }],
  ['https://*', { protocol: 'https:', subdomains: false }],
  ['*:8443', { subdomains: false, port: 8443 }],
  ['example.com?', { hostname: 'example.com', subdomains: false, parameters: [] }],
  ['example.com?v', { hostname: 'example.com', subdomains: false, parameters: ['v'] }],
  [
    '*.example.com:81?v,X-Id,f[]',
    { hostname: 'example.com', subdomains: true, port: 81, parameters: ['v', 'X-Id', 'f[]'] },
  ],
  ['*?v', { subdomains: false, parameters: ['v'] }],
] as const
for (const [text, host] of ENTRIES) {
  test(`the entry ${text} is read`, () => assert.deepEqual(parseRemoteHost(text), host))
}

const BAD_ENTRIES = [
  '',
  '*.',
  '*.*',
  '**',
  '*/',
  '.',
  '*example.com',
  'www.*.com',
  '*.*.example.com',
  'example.com/',
  'example.com/images',
  'a..b',
  '//example.com',
  'https://',
  'user@example.com',
  'example.com?x?y',
  'example.com#x',
  'example.com:',
  'example.com:x',
  '2001:db8::7',
  '[2001:db8::7',
  '[fe80::1%25eth0]',
  'exa%6dple.com',
  `${'a'.repeat(64)}.example`,
  '1.2.3.4.5',
  '256.1.1.1',
]
for (const text of BAD_ENTRIES) {
  test(`the entry ${JSON.stringify(text)} is refused with an example of a right one`, () => {
    assert.throws(
      () => parseRemoteHost(text),
      (error) =>
        error instanceof SettingError && error.message.startsWith(`"${text}" should be a host such as example.com`),
    )
  })
}

test('entries that are nearly right are told what is wrong', () => {
  assert.throws(() => parseRemoteHost('ftp://example.com'), { message: /should start with http:\/\/ or https:\/\// })
  assert.throws(() => parseRemoteHost('example.com:0'), { message: /port from 1 to 65535/ })
  assert.throws(() => parseRemoteHost('example.com:65536'), { message: /port from 1 to 65535/ })
  assert.throws(() => parseRemoteHost('*.192.0.2.7'), { message: /not start with "\*\."/ })
  assert.throws(() => parseRemoteHost('*.[2001:db8::7]'), { message: /not start with "\*\."/ })
  assert.throws(() => parseRemoteHost('ftp://*'), { message: /should start with http:\/\/ or https:\/\// })
  assert.throws(() => parseRemoteHost('*:0'), { message: /port from 1 to 65535/ })
  for (const text of ['example.com?v&w', 'example.com?v=1', 'example.com?,', 'example.com?v,,w'])
    assert.throws(
      () => parseRemoteHost(text),
      { message: /list query parameters, such as example\.com\?v,id, or end/ },
      text,
    )
})

const URLS = [
  ['https://example.com/cat.jpg', 'https://example.com/cat.jpg'],
  ['https://example.com', 'https://example.com/'],
  ['HTTPS://EXAMPLE.com:443/a b?c=d e#part', 'https://example.com/a%20b?c=d%20e'],
  ['http://example.com.:80/cat.jpg', 'http://example.com/cat.jpg'],
  ['http://@example.com/', 'http://example.com/'],
  ['http:\\\\example.com\\a\\..\\b', 'http://example.com/b'],
  ['http://bücher.example/ü', 'http://xn--bcher-kva.example/%C3%BC'],
  ['http://[2001:DB8:0:0::7]/', 'http://[2001:db8::7]/'],
  ['http://0x7f.1/', 'http://127.0.0.1/'],
] as const
for (const [text, url] of URLS) {
  test(`${text} is the URL ${url}`, () => {
    assert.equal(parseRemoteUrl(text), url)
    assert.equal(parseRemoteUrl(url), url)
  })
}

const BAD_URLS = [
  '',
  'cat.jpg',
  '/cat.jpg',
  '//example.com/cat.jpg',
  'example.com/cat.jpg',
  'ftp://example.com/',
  'file:///etc/passwd',
  'data:image/png;base64,AA',
  'gopher://127.0.0.1:6379/_x',
  'javascript:1',
  'unix:/run/x.sock',
  'blob:http://example.com/1',
  'http://user@example.com/',
  'http://:secret@example.com/',
  'http://user:secret@example.com/',
  'http://./',
  'http://a../',
  'http://.example.com/',
  'http://a..example.com/',
  'http://',
  'http://exa mple.com/',
  'http://example.com:65536/',
  `http://${'a'.repeat(64)}.example/`,
  `http://${'a.'.repeat(127)}example/`,
  'http://[::1%25lo]/',
  'http://1.2.3.4.5/',
]
for (const text of BAD_URLS) {
  test(`${JSON.stringify(text)} is no URL of an image`, () => {
    assert.throws(() => parseRemoteUrl(text), { code: 'invalid_path', message: /^The URL of the remote image should / })
  })
}

test('a URL is too long beyond 2,048 characters, before and after encoding', () => {
  const base = 'http://example.com/'
  assert.equal(parseRemoteUrl(base + 'a'.repeat(2048 - base.length)).length, 2048)
  assert.throws(() => parseRemoteUrl(base + 'a'.repeat(2049 - base.length)), { code: 'invalid_path' })
  assert.throws(() => parseRemoteUrl(base + 'ü'.repeat(1000)), { code: 'invalid_path' })
})

test('no message repeats a password', () => {
  assert.throws(
    () => parseRemoteUrl('http://user:secret@example.com/'),
    (error) => !String(error).includes('secret'),
  )
})

const ALLOWED = [
  ['example.com', 'http://example.com/', true],
  ['example.com', 'https://example.com/', true],
  ['example.com', 'https://EXAMPLE.com.:443/', true],
  ['example.com.', 'https://example.com/', true],
  ['example.com', 'https://www.example.com/', false],
  ['example.com', 'https://example.com.evil.example/', false],
  ['example.com', 'https://notexample.com/', false],
  ['example.com', 'https://example.com:444/', false],
  ['example.com', 'http://example.com:443/', false],
  ['*.example.com', 'https://www.example.com/', true],
  ['*.example.com', 'https://a.b.example.com./', true],
  ['*.example.com', 'https://example.com/', false],
  ['*.example.com', 'https://notexample.com/', false],
  ['https://example.com', 'https://example.com/', true],
  ['https://example.com', 'http://example.com/', false],
  ['http://example.com:8080', 'http://example.com:8080/', true],
  ['http://example.com:8080', 'http://example.com/', false],
  ['http://example.com:80', 'http://example.com/', true],
  ['example.com:8443', 'https://example.com:8443/', true],
  ['example.com:8443', 'https://example.com/', false],
  ['bücher.example', 'https://XN--bcher-KVA.example/', true],
  ['127.0.0.1', 'http://0x7f.1/', true],
  ['[::1]', 'http://[0::1]/', true],
  ['example.com', 'http://127.0.0.1/', false],
  ['*', 'https://www.example.com/', true],
  ['*', 'http://192.0.2.7/', true],
  ['*', 'https://example.com:8443/', false],
  ['https://*', 'http://example.com/', false],
  ['*:8443', 'https://example.com:8443/', true],
] as const
for (const [entry, url, expected] of ALLOWED) {
  test(`the entry ${entry} ${expected ? 'allows' : 'does not allow'} ${url}`, () => {
    assert.equal(hostsAllowing(parseRemoteUrl(url), [parseRemoteHost(entry)]).length, expected ? 1 : 0)
  })
}

test('without entries nothing is allowed, and of several any will do', () => {
  assert.equal(hostsAllowing('http://example.com/', []).length, 0)
  const hosts = ['other.example', 'example.com'].map(parseRemoteHost)
  assert.deepEqual(hostsAllowing('http://example.com/', hosts), hosts.slice(1))
})

test('only the star alone is every host', () => {
  for (const entry of ['*', 'https://*', '*:8443', '*?v', 'ftp://*']) assert.ok(isEveryHost(entry), entry)
  for (const entry of ['*.example.com', 'example.com', '*x', '', '*.*']) assert.ok(!isEveryHost(entry), entry)
})

const QUERIES = [
  ['example.com', '?anything=1', undefined],
  ['example.com?v,id', '', undefined],
  ['example.com?v,id', '?v=1', undefined],
  ['example.com?v,id', '?id=a&v=1&v=2', undefined],
  ['example.com?v,id', '?v', undefined],
  ['example.com?v,id', '?v=1&x=2', 'only the query parameters v, id (REMOTE_HOSTS): remove "x"'],
  ['example.com?v,id', '?V=1', 'only the query parameters v, id (REMOTE_HOSTS): remove "V"'],
  ['example.com?v,id', '?%76=1', 'only the query parameters v, id (REMOTE_HOSTS): remove "%76"'],
  ['example.com?v,id', '?v=1&', 'only the query parameters v, id (REMOTE_HOSTS)'],
  ['example.com?v,id', '?', 'only the query parameters v, id (REMOTE_HOSTS)'],
  ['example.com?', '', undefined],
  ['example.com?', '?utm_source=x', 'no query (REMOTE_HOSTS): remove "utm_source"'],
  ['example.com?', '?', 'no query (REMOTE_HOSTS)'],
  ['example.com?v example.com:80?id', '?id=1', undefined],
  ['example.com?v example.com', '?x=1', undefined],
] as const
for (const [entries, query, problem] of QUERIES) {
  test(`with ${entries} a URL may ${problem === undefined ? '' : 'not '}end with "${query}"`, () => {
    const hosts = entries.split(' ').map(parseRemoteHost)
    const assertIt = () => assertAllowedUrl(parseRemoteUrl(`http://example.com/a.jpg${query}`), hosts)
    if (problem === undefined) assertIt()
    else {
      const message = `URLs of remote images on example.com may contain ${problem}`
      assert.throws(assertIt, { code: 'invalid_path', message })
    }
  })
}

test('a host that is not on the list is refused whatever the query', () => {
  const hosts = [parseRemoteHost('example.com?v')]
  assert.throws(() => assertAllowedUrl('http://other.example/a.jpg?v=1', hosts), { code: 'remote_not_allowed' })
})

test('whatever is read as a URL is read again as the same one', () => {
  const piece = fc.constantFrom(
    'a',
    'B',
    '.',
    '%41',
    'ü',
    '/',
    '@',
    ':',
    '80',
    '[',
    ']',
    '?',
    '#',
    '\\',
    ' ',
    '1',
    '0x',
  )
  const texts = fc.array(piece).map((pieces) => `http://${pieces.join('')}`)
  fc.assert(
    fc.property(texts, (text) => {
      let url: string
      try {
        url = parseRemoteUrl(text)
      } catch {
        return
      }
      assert.equal(parseRemoteUrl(url), url)
      assert.doesNotMatch(new URL(url).hostname, /\.$/)
    }),
  )
})

test('DNS servers are addresses, with a port or without', () => {
  assert.equal(parseDnsServer('192.0.2.53'), '192.0.2.53:53')
  assert.equal(parseDnsServer('192.0.2.53:5353'), '192.0.2.53:5353')
  assert.equal(parseDnsServer('2001:DB8::53'), '[2001:db8::53]:53')
  assert.equal(parseDnsServer('[2001:db8::53]:5353'), '[2001:db8::53]:5353')
  for (const text of [
    '',
    'dns.example',
    '192.0.2.53:',
    '192.0.2.53:0',
    '192.0.2.53:65536',
    '[192.0.2.53]',
    '[::1',
    '1.2.3',
  ]) {
    assert.throws(() => parseDnsServer(text), SettingError, text)
  }
})
