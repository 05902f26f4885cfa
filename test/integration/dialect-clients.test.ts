import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { generateImageUrl, type IGenerateImageUrl } from '@imgproxy/imgproxy-node'
import { parseImgproxyPath } from '../../src/domain/dialect/imgproxy-path.ts'
import { parseThumborPath } from '../../src/domain/dialect/thumbor-path.ts'
import { commandOutput } from '../../tools/processes/process.ts'
import { ensureLibthumbor } from '../../tools/servers/install-servers.ts'
import { summary } from '../support/dialects.ts'

const THUMBOR_KEY = 'my-security-key'
const IMAGE = 'my.server.com/some/path/to/image.jpg'

/** Options of libthumbor, and what its URLs come to. */
const THUMBOR: readonly (readonly [options: Readonly<Record<string, unknown>>, expected: string])[] = [
  [{}, 'full source'],
  [{ width: 300, height: 200 }, '300w200h,cover,up source'],
  [{ width: 300, height: 200, smart: true }, '300w200h,cover,smart,up source'],
  [{ width: 300 }, '300w,up source'],
  [{ height: 200 }, '200h,up source'],
  [{ width: 300, height: 200, flip: true }, '300w200h,cover,up,flop source'],
  [{ width: 300, height: 200, flop: true }, '300w200h,cover,up,flip source'],
  [{ flip: true, flop: true }, 'full,flip,flop source'],
  [{ width: 300, height: 200, halign: 'left', valign: 'bottom' }, '300w200h,cover,bottomleft,up source'],
  [{ width: 300, height: 200, fit_in: true }, '300w200h source'],
  [{ width: 300, height: 200, full_fit_in: true }, '300w200h,outside,up source'],
  [{ width: 300, height: 300, adaptive_fit_in: true }, '300w300h source'],
  [{ width: 300, height: 200, fit_in: true, filters: ['fill(white)'] }, '300w200h,contain,bgffffff source'],
  [{ width: 300, filters: ['quality(60)', 'format(webp)', 'no_upscale()'] }, '300w,q60 webp'],
  [{ width: 300, height: 200, filters: ['rotate(90)'] }, '200w300h,cover,up,rot270 source'],
]
const THUMBOR_REFUSED: readonly (readonly [options: Readonly<Record<string, unknown>>, message: RegExp])[] = [
  [{ meta: true, width: 300 }, /"meta"/],
  [{ trim: true, width: 300 }, /"trim"/],
  [{ trim: ['bottom-right', 15], width: 300 }, /"trim:bottom-right:15"/],
  [
    {
      crop: [
        [10, 20],
        [110, 120],
      ],
    },
    /"10x20:110x120"/,
  ],
  [{ adaptive_fit_in: true, width: 300, height: 200 }, /"adaptive-fit-in"/],
]

const PYTHON = `
import json, sys
from libthumbor import CryptoURL
crypto = CryptoURL(key=sys.argv[1])
print(json.dumps([crypto.generate(image_url=sys.argv[2], **options) for options in json.loads(sys.argv[3])]))
`

let thumborUrls: readonly string[] = []

before(async () => {
  const options = [...THUMBOR, ...THUMBOR_REFUSED].flatMap(([asked]) => [asked, { ...asked, unsafe: true }])
  const output = await commandOutput(await ensureLibthumbor(), [
    '-c',
    PYTHON,
    THUMBOR_KEY,
    IMAGE,
    JSON.stringify(options),
  ])
  const urls: unknown = JSON.parse(output ?? 'null')
  assert.ok(Array.isArray(urls) && urls.length === options.length, 'libthumbor gave no URLs')
  thumborUrls = urls.map(String)
})

for (const [index, [options, expected]] of THUMBOR.entries()) {
  test(`libthumbor's URL for ${JSON.stringify(options)} is "${expected}", signed or unsafe`, () => {
    const [signed = '', unsafe = ''] = thumborUrls.slice(2 * index)
    const request = parseThumborPath(signed, { keys: [THUMBOR_KEY], unsafe: false })
    assert.equal(summary(request), `${expected} ${IMAGE}`)
    assert.deepEqual(parseThumborPath(`/${unsafe}`, { keys: [], unsafe: true }), request)
    assert.throws(() => parseThumborPath(signed, { keys: ['another key'], unsafe: true }), {
      code: 'signature_invalid',
    })
  })
}

for (const [index, [options, message]] of THUMBOR_REFUSED.entries()) {
  test(`libthumbor's URL for ${JSON.stringify(options)} is refused`, () => {
    const [signed = ''] = thumborUrls.slice(2 * (THUMBOR.length + index))
    assert.throws(() => parseThumborPath(signed, { keys: [THUMBOR_KEY], unsafe: false }), {
      code: 'invalid_path',
      message,
    })
  })
}

type ImgproxyOptions = NonNullable<IGenerateImageUrl['options']>

const KEY_PAIR = { key: '736563726574', salt: '68656C6C6F' }
const IMGPROXY_SETTINGS = { keys: [KEY_PAIR] }
const SOURCES = ['https://host.example/a.jpg', 'https://host.example/größe 1@2x.jpg?v=1&w=2', 's3://photos/2024/a.jpg']

/** Options of imgproxy's builder, and what its URLs come to. */
const IMGPROXY: readonly (readonly [options: ImgproxyOptions, expected: string])[] = [
  [{ width: 300 }, '300w source'],
  [{ size: { width: 300, height: 200 }, resizing_type: 'fill' }, '300w200h,cover source'],
  [
    { resize: { resizing_type: 'fill', width: 300, height: 200, enlarge: 1 }, format: 'webp' },
    '300w200h,cover,up webp',
  ],
  [{ resize: { resizing_type: 'force', width: 300, height: 200 } }, '300w200h,fill source'],
  [
    { resize: { resizing_type: 'fill', width: 300, height: 200 }, gravity: { type: 'sm' } },
    '300w200h,cover,smart source',
  ],
  [
    { resize: { resizing_type: 'fill', width: 300, height: 200 }, gravity: { type: 'fp', x: 0.25, y: 0.75 } },
    '300w200h,cover,at25x75 source',
  ],
  [
    { resize: { resizing_type: 'fill', width: 300, height: 200 }, gravity: { type: 'nowe' } },
    '300w200h,cover,topleft source',
  ],
  [{ size: { width: 300, height: 200, extend: { extend: 1 } } }, '300w200h,contain source'],
  [{ width: 300, dpr: 2, quality: 60, format: 'avif' }, '300w,2x,q60 avif'],
  [{ background: 'ff00aa', blur: 3, sharpen: 0.5, rotate: 90 }, 'full,bgff00aa,rot90,blur3,sharpen source'],
  [{ background: { r: 255, g: 0, b: 170 }, cachebuster: 'abc', strip_metadata: 1 }, 'full,bgff00aa source'],
]

for (const [options, expected] of IMGPROXY) {
  test(`imgproxy's own builder's URL for ${JSON.stringify(options)} is "${expected}", plain or in base64url`, () => {
    for (const value of SOURCES) {
      // The builder leaves it to its users to encode what is plain.
      for (const url of [{ value: encodeURIComponent(value), displayAs: 'plain' as const }, { value }]) {
        const signed = generateImageUrl({ endpoint: 'https://img.example', url, options, ...KEY_PAIR })
        assert.equal(summary(parseImgproxyPath(pathOf(signed), IMGPROXY_SETTINGS)), `${expected} ${value}`)
        const unsigned = generateImageUrl({ endpoint: 'https://img.example', url, options })
        assert.equal(summary(parseImgproxyPath(pathOf(unsigned), { keys: [] })), `${expected} ${value}`)
        assert.throws(() => parseImgproxyPath(pathOf(unsigned), IMGPROXY_SETTINGS), { code: 'signature_invalid' })
      }
    }
  })
}

const IMGPROXY_REFUSED: readonly (readonly [options: ImgproxyOptions, message: RegExp])[] = [
  [{ crop: { width: 100, height: 100 } }, /"c[^"]*100/],
  [{ resize: { resizing_type: 'auto', width: 300, height: 200 } }, /"auto"/],
  [{ padding: { top: 10 } }, /"p[^"]*10/],
  [{ preset: ['sharp'] }, /"p[^"]*sharp"/],
  [{ watermark: { opacity: 0.5 } }, /"w[^"]*0.5/],
]
for (const [options, message] of IMGPROXY_REFUSED) {
  test(`imgproxy's own builder's URL for ${JSON.stringify(options)} is refused`, () => {
    const url = generateImageUrl({
      endpoint: 'https://img.example',
      url: 'https://host.example/a.jpg',
      options,
      ...KEY_PAIR,
    })
    assert.throws(() => parseImgproxyPath(pathOf(url), IMGPROXY_SETTINGS), { code: 'invalid_path', message })
  })
}

/** As a client sends it: percent-encoded where it wasn't. */
function pathOf(url: string): string {
  const { pathname, search } = new URL(url)
  return `${pathname}${search}`
}
