import fc from 'fast-check'
import { formatSpec } from '../../src/domain/spec/spec.ts'
import { anySpec } from './any-spec.ts'

/** What there is to be asked for. */
export interface UrlWorld {
  /** Of an upload. */
  readonly id: string
  /** Of an allowed host with `/a.jpg`. */
  readonly remote: string
  /** Of a bucket with `a.jpg`. */
  readonly bucket: string
}

/** Sides are kept small: what is fuzzed here is what reads a URL, not what draws. */
const MOST_PIXELS = 200
const ENDS = ['jpg', 'png', 'webp', 'avif', 'gif', 'jpeg', 'JPG', 'tiff', 'svg', 'php', '', '.', 'jpg.exe'] as const
const ROOTS = ['/image/', '/images/', '/s3/', '/v1/', '/image?url=', '/thumbor/', '/imgproxy/', '/ipx/', '/', '//', '*']

/**
 * Targets of requests as they go out, byte for byte: of every grammar that is served, sound and with something wrong in
 * them, and anything at all.
 */
export function anyUrl(world: UrlWorld): fc.Arbitrary<string> {
  const source = anySource(world)
  const sound = fc.oneof(
    anyOwn(world),
    anyObject(world),
    anyRemote(source),
    anyRethumb(source),
    anyDialect(source),
    fc.constantFrom(...OTHERS),
  )
  return fc.oneof(
    { weight: 4, arbitrary: sound },
    { weight: 8, arbitrary: spoilt(sound) },
    { weight: 3, arbitrary: fc.tuple(sound, odd).map(([path, tail]) => path + tail) },
    { weight: 2, arbitrary: fc.array(odd, { minLength: 1, maxLength: 8 }).map((parts) => `/${parts.join('/')}`) },
    { weight: 1, arbitrary: fc.tuple(sound, overlong).map(([path, long]) => path + long) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...ROOTS), overlong).map(([root, long]) => root + long) },
  )
}

const PIECES = [
  '%',
  '%0',
  '%00',
  '%zz',
  '%2F',
  '%2f..%2f',
  '%5c',
  '%25252e',
  '%C0%AF',
  '%ED%A0%80',
  '%F0%9F%98%80',
  '%0d%0aX: y',
  '..',
  '.',
  ';',
  '&',
  '=',
  '+',
  '?',
  '#',
  '@',
  ':',
  '\\',
  '|',
  '"',
  '<script>',
  '{}',
  '[',
  '~',
  '*',
  '__proto__',
  'constructor',
  'NaN',
  '-0',
  '1e309',
  '99999999999999999999',
  '0x10',
  '٣',
  'é',
  '😀',
]

/** On which readers of URLs stumble. */
const odd: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...PIECES),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.tuple(fc.constantFrom(...PIECES), fc.constantFrom(...PIECES)).map(([one, other]) => one + other),
)

const overlong: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom('a', '/', '%41', '../', ',', '40w,', '&url=', '(', ':', 'filters:', '%'),
    fc.integer({ min: 50, max: 4000 }),
  )
  .map(([piece, times]) => piece.repeat(times))

const size: fc.Arbitrary<string> = fc.oneof(
  anySpec(MOST_PIXELS)
    .filter(({ blur = 0, dpr = 1, up }) => blur < 20 && dpr < 2 && up === undefined)
    .map(formatSpec),
  fc.constantFrom(
    '400w',
    '40w30h,cover',
    '1x',
    '0w',
    '99999w',
    '-1w',
    '4e1w',
    '40w@2x',
    '40w;q=80',
    'thumb-40w',
    'full',
    'full,cover',
    '100s,q0',
    'info',
  ),
  fc
    .array(
      fc.constantFrom(
        '40w',
        '30h',
        'cover',
        'q50',
        'at50x50',
        'at1e9x1',
        'bgfff',
        'rot90',
        '1.5x',
        'covr',
        'q=80',
        ',',
        ' ',
      ),
      {
        maxLength: 6,
      },
    )
    .map((parts) => parts.join(',')),
)

/** A format without a name, or with one. */
const tail: fc.Arbitrary<string> = fc.oneof(
  fc.constant(''),
  fc.constantFrom(...ENDS).map((end) => `.${end}`),
  fc
    .tuple(
      fc.oneof(fc.constantFrom('x', 'a%20b', '.', '..', '..%2f', '%00', 'ä', '%E4', '%zz', ''), odd),
      fc.constantFrom(...ENDS),
    )
    .map(([name, end]) => `/${name}.${end}`),
)

/** One to three places where something else stands, or nothing. */
function spoilt(sound: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const change = fc.tuple(fc.nat(), fc.oneof(odd, fc.constant('')), fc.nat(2))
  return fc.tuple(sound, fc.array(change, { minLength: 1, maxLength: 3 })).map(([text, changes]) =>
    changes.reduce((path, [at, other, removed]) => {
      const cut = 1 + (at % Math.max(1, path.length))
      return path.slice(0, cut) + other + path.slice(cut + removed)
    }, text),
  )
}

const QUERY_NAMES = ['w', 'H', 'width', 'q', 'size', 'fit', 'format', 'dpr', 'v', 's', 'e', '%77', '+w', ''] as const

function anyOwn({ id }: UrlWorld): fc.Arbitrary<string> {
  const other = fc.string({
    unit: fc.constantFrom(...'0123456789abcdefABCDEFg'.split('')),
    minLength: 38,
    maxLength: 42,
  })
  const anyId = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(id) }, other, fc.constant(id.toUpperCase()), odd)
  const picture = fc.tuple(anyId, size, tail).map(([of, spec, end]) => `/image/${of}/${spec}${end}`)
  const record = fc
    .tuple(anyId, fc.constantFrom('', '/', '/info', '/original', '/info/x', '?url=1'))
    .map(([of, end]) => `/images/${of}${end}`)
  const signed = fc.tuple(picture, odd, odd).map(([path, s, e]) => `${path}?s=${s}&e=${e}`)
  const queried = fc
    .tuple(picture, fc.array(fc.tuple(fc.oneof(fc.constantFrom(...QUERY_NAMES), odd), odd), { maxLength: 4 }))
    .map(([path, parameters]) => `${path}?${parameters.map(([name, value]) => `${name}=${value}`).join('&')}`)
  return fc.oneof({ weight: 3, arbitrary: picture }, record, signed, queried)
}

function anyObject({ bucket }: UrlWorld): fc.Arbitrary<string> {
  const key = fc.oneof(fc.constantFrom('a.jpg', 'missing.jpg', 'a/-/b', '%2F', '..%2F..', 'a%00', '%'), odd)
  const alias = fc.oneof({ weight: 4, arbitrary: fc.constant(bucket) }, odd)
  const version = fc.oneof(
    fc.constant(''),
    odd.map((text) => `?versionId=${text}`),
  )
  return fc
    .tuple(alias, key, size, tail, version)
    .map(([name, path, spec, end, query]) => `/s3/${name}/${path}/-/${spec}${end}${query}`)
}

/** Where an image is to be fetched from; hosts that must not be asked among them. */
function anySource({ remote }: UrlWorld): fc.Arbitrary<string> {
  const host = fc.constantFrom(
    remote.replace('http:', 'https:'),
    'http://127.0.0.1:1',
    'http://[::1]',
    'http://0x7f.1',
    'http://169.254.169.254',
    'http://user:pass@images.test',
    'file://',
    'ftp://images.test',
    'data:image/png;base64,iVBORw0KGgo=',
    'javascript:alert(1)',
    'http://',
    '//images.test',
    'gopher://127.0.0.1:11211',
    '',
  )
  const path = fc.oneof(fc.constantFrom('/a.jpg', '/a.jpg', '/missing.jpg', '/../a.jpg', '/a.jpg?x=1#y', ''), odd)
  return fc.tuple(fc.oneof(fc.constant(remote), host), path).map(([at, rest]) => at + rest)
}

function anyRemote(source: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const url = fc.oneof(source, source.map(encoded)).map((text) => `url=${text}`)
  const more = fc.oneof(
    size.map((text) => `size=${text}`),
    size.map((text) => `size=${text}`),
    fc.constantFrom(...ENDS).map((text) => `format=${text}`),
    fc.tuple(odd, odd).map(([name, value]) => `${name}=${value}`),
    url,
  )
  return fc
    .tuple(url, fc.array(more, { maxLength: 4 }))
    .map(([first, others]) => `/image?${[first, ...others].join('&')}`)
}

function anyRethumb(source: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const part = fc.oneof(
    fc
      .tuple(fc.constantFrom('width', 'height', 'square', 'cover', 'format', 'exif', 'version', 'size'), fc.nat(150))
      .map(([name, number]) => `${name}/${number}`),
    fc.constantFrom('cover/40x30', 'format/jpg', 'format/gif', 'exif/all', 'width/-1', 'square/1e9', 'version/%00'),
    odd,
  )
  return fc.tuple(fc.array(part, { maxLength: 5 }), source).map(([parts, url]) => `/v1/${[...parts, url].join('/')}`)
}

function anyDialect(source: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const from = fc.oneof(
    source,
    source.map(encoded),
    source.map((text) => Buffer.from(text).toString('base64url')),
  )
  const path = (root: string, words: readonly string[], separator: string) => {
    const option = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...words) }, odd)
    return fc
      .tuple(fc.array(option, { maxLength: 5 }), from)
      .map(([options, image]) => `${root}/${options.join(separator) || '_'}/${image}`)
  }
  return fc.oneof(
    path('/thumbor/unsafe', THUMBOR, '/'),
    path('/thumbor', THUMBOR, '/'),
    path('/imgproxy/insecure', IMGPROXY, '/'),
    path('/imgproxy', IMGPROXY, '/'),
    path('/ipx', IPX, ','),
  )
}

const THUMBOR = [
  'unsafe',
  '40x30',
  '-40x-30',
  '0x0',
  'fit-in',
  'adaptive-fit-in',
  'trim',
  'trim:top-left:20',
  '1x1:20x20',
  'left',
  'middle',
  'smart',
  'meta',
  '10x10:5x5',
  'filters:quality(40):format(webp)',
  'filters:fill(red):blur(3)',
  'filters:',
  'filters:rotate(90):rotate(400)',
  'filters:watermark(http://127.0.0.1:1/x,0,0,0)',
  'filters:q(((',
]
const IMGPROXY = [
  'rs:fill:40:30',
  'w:40',
  'h:-1',
  'dpr:1.5',
  'q:50',
  'g:sm',
  'g:fp:0.5:0.5',
  'g:fp:9:9',
  'bl:3',
  'bg:255:0:0',
  'rot:90',
  'plain',
  'plain',
  'pr:none',
  'exp:1',
  'crop:20:20',
  'rs:fill:1e9:1e9',
  '@jpg',
]
const IPX = ['w_40', 's_40x30', 'fit_cover', 'q_50', 'f_webp', 'rotate_90', 'blur_3', 'w_-1', 'position_top', 'enlarge']
const OTHERS = [
  '/',
  '/healthz',
  '/readyz',
  '/metrics/',
  '/images',
  '/image',
  '/events/s3',
  '/purge',
  '/favicon.ico',
  '/.git/config',
  '/_renditions/image/',
  '/_error',
  '//images.test/',
  '/%2e%2e/%2e%2e/etc/passwd',
  '/image/../../etc/passwd',
  'http://images.test/image/x',
  '*',
]

function encoded(text: string): string {
  // Half a character has no percent-encoding.
  return encodeURIComponent(text.toWellFormed())
}
