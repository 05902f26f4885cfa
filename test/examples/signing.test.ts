import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatSignature, signPath } from '../../src/domain/access/signature.ts'
import { parseRemoteUrl } from '../../src/domain/network/remote-hosts.ts'
import { OUTPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { formatPictureTail, type PictureTail } from '../../src/domain/url/picture-tail.ts'
import { formatPictureUrl, type ImageRequest, signedPath } from '../../src/domain/url/picture-url.ts'
import { anySpec } from '../../tools/fuzz/any-spec.ts'
import { ensureLanguages } from '../../tools/servers/install-servers.ts'
import { temporaryFolder } from '../../tools/servers/site.ts'
import { readSigningVectors, SIGNING_VECTORS_FILE, type SigningVector } from '../support/signing-vectors.ts'

const FOLDER = dirname(SIGNING_VECTORS_FILE)
const VECTORS = readSigningVectors()
const RANDOM_VECTORS = 2000

const commands = await ensureLanguages()
const SELF_TESTS = {
  TypeScript: [process.execPath, 'sign.ts'],
  Python: [commands.python3, 'sign.py'],
  PHP: [commands.php, 'sign.php'],
  Ruby: [commands.ruby, 'sign.rb'],
  Go: [commands.go, 'run', 'sign.go'],
} as const

for (const [language, [command, ...args]] of Object.entries(SELF_TESTS)) {
  const selfTest = (file: string) => spawnSync(command, [...args, file], { cwd: FOLDER, encoding: 'utf8' })

  test(`The ${language} example signs the vectors as Darkroom does`, () => {
    const { status, stdout, stderr } = selfTest('vectors.json')
    assert.deepEqual([stderr, stdout, status], ['', `${VECTORS.length} of ${VECTORS.length} vectors match\n`, 0])
  })

  test(`The ${language} example signs any picture as Darkroom does`, async (t) => {
    const file = join(await temporaryFolder(t), 'random.json')
    await writeFile(file, JSON.stringify(fc.sample(anyVector(), RANDOM_VECTORS)))
    const { status, stdout, stderr } = selfTest(file)
    assert.deepEqual([stderr, stdout, status], ['', `${RANDOM_VECTORS} of ${RANDOM_VECTORS} vectors match\n`, 0])
  })

  test(`The ${language} example fails at a vector that does not match`, async (t) => {
    const file = join(await temporaryFolder(t), 'wrong.json')
    const [first, ...others] = VECTORS
    assert.ok(first)
    await writeFile(file, JSON.stringify([{ ...first, signed: `${first.signed}A` }, ...others]))
    const { status, stdout, stderr } = selfTest(file)
    assert.equal(stdout, `${VECTORS.length - 1} of ${VECTORS.length} vectors match\n`)
    assert.ok(stderr.startsWith(`${first.name}:\n  is        ${first.signed}\n  should be ${first.signed}A\n`), stderr)
    assert.equal(status, 1)
  })
}

/** A picture of any original, in any size, signed by Darkroom. */
function anyVector(): fc.Arbitrary<SigningVector> {
  const hexadecimal = fc.string({
    unit: fc.constantFrom(...'0123456789abcdef'.split('')),
    minLength: 40,
    maxLength: 40,
  })
  const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((each) => !each.includes('\0'))
  const dots = fc.array(fc.constantFrom('.', '..', '', '-', 'a'), { minLength: 2 }).map((parts) => parts.join('/'))
  const tail = fc.oneof(
    fc.record({ spec: anySpec() }),
    fc.record(
      { spec: anySpec(), format: fc.constantFrom(...OUTPUT_FORMATS), name: text.map(encodeURIComponent) },
      { requiredKeys: ['spec', 'format'] },
    ),
  )
  const image = fc.record({ kind: fc.constant<'image'>('image'), id: hexadecimal })
  const object = fc.record(
    {
      kind: fc.constant<'object'>('object'),
      bucket: fc.constant('photos'),
      key: fc.oneof(text, dots),
      versionId: text,
    },
    { requiredKeys: ['kind', 'bucket', 'key'] },
  )
  const remote = fc.record({
    kind: fc.constant<'remote'>('remote'),
    url: fc.webUrl({ withQueryParameters: true }).map(parseRemoteUrl),
  })
  const expires = fc.option(fc.integer({ min: 1, max: 999_999_999_999_999 }), { nil: undefined })
  const key = fc.string({ unit: 'grapheme', minLength: 16 })
  return fc
    .record({ original: fc.oneof(image, object, remote), tail, expires, key })
    .map(({ original, tail: { ...picture }, ...how }) => signedVector({ original, ...picture }, how))
}

function signedVector(
  request: ImageRequest,
  { key, expires }: { readonly key: string; readonly expires: number | undefined },
): SigningVector {
  const text = signedPath(request)
  const url = formatPictureUrl(request)
  const signed = `${url}${url.includes('?') ? '&' : '?'}${formatSignature(signPath(text, key, expires))}`
  return { name: url, key, url, text, signed, ...partsOf(request), ...(expires !== undefined && { expires }) }
}

/** What the examples make the same URL of. */
function partsOf({ original, ...tail }: ImageRequest): Pick<SigningVector, 'object' | 'remote'> {
  if (original.kind === 'image') return {}
  if (original.kind === 'remote') return { remote: { url: original.url, ...sizeAndFormat(tail) } }
  const { bucket, key, versionId } = original
  return { object: { bucket, key, picture: formatPictureTail(tail), ...(versionId !== undefined && { versionId }) } }
}

function sizeAndFormat({ spec, format }: PictureTail): { readonly size: string; readonly format?: string } {
  const size = formatPictureTail({ spec })
  return format === undefined ? { size } : { size, format }
}
