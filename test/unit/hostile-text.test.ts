import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readMetadata } from '../../src/adapters/sharp/metadata-reader.ts'
import { assertSignature, formatSignature, parseSignature, signPath } from '../../src/domain/access/signature.ts'
import { assertMayNotify, holdsToken } from '../../src/domain/access/write-access.ts'
import {
  fileValidators,
  isNotModified,
  isPreconditionFailed,
  selectRange,
} from '../../src/domain/caching/http-caching.ts'
import { parseRethumbPath } from '../../src/domain/dialect/rethumb-path.ts'
import { parseSpecOrReticulumSize } from '../../src/domain/dialect/reticulum-answer.ts'
import { parseObjectNotice } from '../../src/domain/identity/image-id.ts'
import { parseRecord } from '../../src/domain/info/image-record.ts'
import { sniffFormat } from '../../src/domain/picture/file-structure.ts'
import { ACCEPT_CLASSES, acceptClass, INPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { parseBucketEvents } from '../../src/domain/url/bucket-event.ts'
import { assertNoQueryOptions } from '../../src/domain/url/picture-tail.ts'
import { parseImagePath, parseObjectPath, parseRemoteQuery } from '../../src/domain/url/picture-url.ts'
import { RequestError } from '../../src/errors.ts'
import { originForm } from '../../src/http/connection/server.ts'
import { anyUrl } from '../../tools/fuzz/any-url.ts'
import { mutate } from '../../tools/fuzz/mutate.ts'
import { CAMERA_EXIF, exifBlock, iptcBlock, xmpPacket } from '../../tools/pictures/metadata.ts'
import { createRandom } from '../../tools/pictures/seeded-random.ts'

// What comes from outside is a value or a refusal, whatever it is: anything else that is thrown would be a 500.
// No text of a few kilobytes may cost more than this, of CPU and not of time, as others may be at work.
const CPU_MS = 250
/** The same cases in every run. `npm run fuzz` is for others. */
const SEED = 20_261_121

/** @returns undefined for a refusal. */
function parsed<T>(parse: (text: string) => T, text: string): T | undefined {
  const before = process.cpuUsage()
  try {
    return parse(text)
  } catch (error) {
    if (error instanceof RequestError) return undefined
    throw error
  } finally {
    const { user, system } = process.cpuUsage(before)
    assert.ok((user + system) / 1000 < CPU_MS, `${(user + system) / 1000} ms for ${text.slice(0, 200)}`)
  }
}

/** Words of a grammar in any order, each now and then a thousand times, and anything else. */
function textOf(...words: readonly string[]): fc.Arbitrary<string> {
  const word = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...words) }, fc.string({ maxLength: 6 }))
  const run = fc.tuple(word, fc.constantFrom(1, 1, 1, 1, 2, 1000)).map(([text, times]) => text.repeat(times))
  return fc.oneof(
    { weight: 5, arbitrary: fc.array(run, { maxLength: 8 }).map((parts) => parts.join('')) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  )
}

const NUMBERS = ['0', '1', '9', '-1', '1e9', '4096', '99999999999999999999', ' ', '\t']
const VALIDATORS = fileValidators(1_600_000_000, 4097)
const SIZE = 4097

test('Whatever a client says of the part that it wants, it gets one within the picture, the whole, or a refusal', () => {
  const range = textOf(
    'bytes=',
    '-',
    ',',
    ' ',
    'bytes',
    '=',
    '0-0',
    '-1',
    '5-',
    '0-5000',
    '4096-9999',
    '-9000',
    ...NUMBERS,
  )
  const ifRange = fc.option(textOf(VALIDATORS.etag, 'W/', '"', VALIDATORS.lastModified), { nil: undefined })
  const kinds = new Set<string>()
  fc.assert(
    fc.property(
      fc.oneof(
        range,
        range.map((text) => `bytes=${text}`),
      ),
      ifRange,
      (text, condition) => {
        const part = parsed((said) => selectRange({ range: said, ifRange: condition }, VALIDATORS, SIZE), text)
        kinds.add(typeof part)
        if (part === undefined || part === 'unsatisfiable') return
        const { start, end } = part
        assert.ok(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end && end < SIZE)
        assert.ok(condition === undefined || condition === VALIDATORS.etag || condition === VALIDATORS.lastModified)
      },
    ),
    { seed: SEED, numRuns: 3000 },
  )
  assert.deepEqual([...kinds].toSorted(), ['object', 'string', 'undefined'])
})

test('Whatever a client says of the copy that it has, it is told to keep it only if it named that very one', () => {
  const tags = textOf(VALIDATORS.etag, 'W/', '"', ',', '*', ' ', '"a"', VALIDATORS.etag.slice(1))
  const dates = textOf(VALIDATORS.lastModified, 'Thu, ', '1970', 'GMT', ...NUMBERS)
  const maybe = (text: fc.Arbitrary<string>) => fc.option(text, { nil: undefined })
  let kept = 0
  fc.assert(
    fc.property(maybe(tags), maybe(dates), (tag, date) => {
      const isKept = parsed(() => isNotModified({ ifNoneMatch: tag, ifModifiedSince: date }, VALIDATORS), '')
      if (isKept) {
        kept += 1
        const isNamed = [VALIDATORS.etag, '*'].some((name) => (tag ?? '').includes(name))
        assert.ok(isNamed || date === VALIDATORS.lastModified)
      }
      const failed = parsed(() => isPreconditionFailed({ ifMatch: tag, ifUnmodifiedSince: date }, VALIDATORS), '')
      if (tag === undefined && date === undefined) assert.equal(failed, false)
      if (failed === false && tag !== undefined) assert.ok(tag.includes(VALIDATORS.etag) || tag.includes('*'))
    }),
    { seed: SEED, numRuns: 3000 },
  )
  assert.ok(kept > 0)
})

test('Whatever a client accepts, it is of one of the classes', () => {
  const accept = textOf('image/avif', 'image/webp', 'image/*', '*/*', ';', 'q=', '0', '0.', '1', ',', ' ', '"', '\t')
  fc.assert(
    fc.property(accept, (text) => assert.ok(ACCEPT_CLASSES.some((each) => each === parsed(acceptClass, text)))),
    { seed: SEED, numRuns: 3000 },
  )
})

const TOKEN = 'the-token-of-this-test'

test('Nothing but a token lets anybody write, or tell of changes', () => {
  const words = [
    'Bearer',
    'bearer ',
    'Basic ',
    ' ',
    TOKEN.slice(0, -1),
    `${TOKEN}a`,
    TOKEN.toUpperCase(),
    ',',
    ':',
    '=',
  ]
  const encoded = Buffer.from(`a:${TOKEN}`).toString('base64')
  const sound = fc.constantFrom(`Bearer ${TOKEN}`, `bearer  ${TOKEN} `)
  let accepted = 0
  fc.assert(
    fc.property(fc.oneof(textOf(...words, TOKEN, encoded), sound), textOf(...words), (authorization, inQuery) => {
      const isRight = /^Bearer +(?<token>\S+) *$/i.exec(authorization)?.groups?.['token'] === TOKEN
      accepted += Number(isRight)
      assert.equal(
        parsed(() => holdsToken(authorization, { tokens: [TOKEN] }), authorization),
        isRight,
      )
      const told = parsed(() => assertMayNotify({ authorization, inQuery }, [TOKEN]) ?? 'told', authorization)
      if (told === 'told') assert.ok(authorization.includes(TOKEN) || authorization.includes(encoded.slice(4)))
    }),
    { seed: SEED, numRuns: 5000 },
  )
  assert.ok(accepted > 0)
})

test('No query is a signature but the one that was made', () => {
  const path = '/image/x/400w'
  const sound = formatSignature(signPath(path, TOKEN, 2_000_000_000))
  const query = textOf('s=', 'e=', '&', sound, sound.slice(0, -1), '2000000000', '%', '+', '=')
  let held = 0
  fc.assert(
    fc.property(fc.oneof(query, fc.constant(sound), fc.constant(`${sound}&x=1`)), (text) => {
      const holds = parsed((said) => {
        assertSignature(path, parseSignature(new URLSearchParams(said)), { keys: [TOKEN] }, 1_900_000_000)
        return true
      }, text)
      if (!holds) return
      held += 1
      const given = new URLSearchParams(text)
      assert.deepEqual([given.getAll('s'), given.getAll('e')], [[sound.slice(-43)], ['2000000000']])
    }),
    { seed: SEED, numRuns: 3000 },
  )
  assert.ok(held > 0)
})

test('Every target of a request is one of ours, or refused', () => {
  const readers = [parseImagePath, parseObjectPath, parseRemoteQuery, parseRethumbPath] as const
  const readTolerantly = (text: string) => parseImagePath(text, parseSpecOrReticulumSize)
  const world = { id: 'ab'.repeat(20), remote: 'http://images.test', bucket: 'pictures' }
  let understood = 0
  fc.assert(
    fc.property(anyUrl(world), (target) => {
      const path = parsed(originForm, target)
      assert.ok(path === undefined || path.startsWith('/'), path)
      const [before = '', query = ''] = (path ?? target).split('?')
      parsed((text) => assertNoQueryOptions(before, text), query)
      parsed(readTolerantly, before)
      for (const read of readers) {
        const of = read === parseRemoteQuery ? (path ?? '').replace(/^[^?]*\??/, '') : (path ?? target)
        if (parsed<unknown>(read, of.replace(/^\/v1(?=\/)/, '')) !== undefined) understood += 1
      }
    }),
    { seed: SEED, numRuns: 5000 },
  )
  assert.ok(understood > 100, `only ${understood} were understood`)
})

test('Whatever a store or a server of buckets holds or sends, it is read or refused', () => {
  const json = fc.oneof(
    fc.json(),
    textOf('{', '}', '[', ']', '"Records":', '"s3":', '"bucket":', '"object":', '"key":', '"%"', 'null', ',', '1e999'),
    fc.json().map((text) => `{"Records":[{"s3":${text}}],"id":${text},"version":${text}}`),
  )
  fc.assert(
    fc.property(json, (text) => {
      for (const read of [parseBucketEvents, parseObjectNotice, parseRecord]) parsed<unknown>(read, text)
    }),
    { seed: SEED, numRuns: 2000 },
  )
})

test('Whatever the first bytes of a file are, it is of one of the formats, or none', () => {
  const magic = fc.constantFrom('\xff\xd8\xff', '\x89PNG\r\n\x1a\n', 'GIF89a', 'RIFF\0\0\0\0WEBP', 'II*\0', '<svg ', '')
  const brand = fc.constantFrom('avif', 'avis', 'heic', 'mif1', 'isom', '\0\0\0\0', '<!--', '-->', ' ', '<?xml ?>')
  const head = fc.tuple(fc.constantFrom('', '\0\0\0\x18ftyp', '\xff\xff\xff\xffftyp', '\0\0\0\0ftyp'), magic, brand)
  fc.assert(
    fc.property(head, fc.array(brand, { maxLength: 120 }), fc.uint8Array({ maxLength: 40 }), (first, more, noise) => {
      const bytes = Buffer.concat([Buffer.from([...first, ...more].join(''), 'latin1'), noise]).subarray(0, 512)
      const format = parsed(() => sniffFormat(bytes), bytes.toString('latin1'))
      assert.ok(format === undefined || INPUT_FORMATS.includes(format))
    }),
    { seed: SEED, numRuns: 3000 },
  )
})

test('Whatever metadata says, it is read or left out', () => {
  const entries = [0x010e, 0x0112, 0x8769, 0x8825, 0x9286, 0x9c9b, 0xea1c, 0x927c]
  const exif = exifBlock(
    entries.map((tag, at) => ({ tag, type: 1 + (at % 12), count: 9, bytes: Buffer.alloc(40, at) })),
  )
  const blocks = {
    exif,
    iptc: iptcBlock([
      [5, CAMERA_EXIF.IFD0.Artist],
      [25, 'a'],
      [25, 'b'],
    ]),
    xmp: Buffer.from(xmpPacket('<dc:title><rdf:Alt><rdf:li xml:lang="x-default">t</rdf:li></rdf:Alt></dc:title>')),
    icc: Buffer.concat([Buffer.alloc(36), Buffer.from('acsp'), Buffer.alloc(88), Buffer.from([0, 0, 0, 1]), exif]),
  } as const
  const all = Object.values(blocks)
  fc.assert(
    fc.property(fc.constantFrom('exif', 'iptc', 'xmp', 'icc'), fc.integer({ min: 1, max: 2 ** 31 }), (kind, seed) => {
      const { bytes, how } = mutate(blocks[kind], all, createRandom(seed))
      const { groups } = parsed(() => readMetadata({ ...blocks, [kind]: bytes }), `${kind}: ${how.join()}`) ?? {}
      assert.ok(groups)
    }),
    { seed: SEED, numRuns: 2000 },
  )
})
