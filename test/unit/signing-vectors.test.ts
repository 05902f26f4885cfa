import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { formatSignature, signPath } from '../../src/domain/access/signature.ts'
import { admit } from '../../src/domain/access/size-policy.ts'
import { parseRemoteUrl } from '../../src/domain/network/remote-hosts.ts'
import { formatPictureUrl, parsePictureUrl, signedPath } from '../../src/domain/url/picture-url.ts'
import { RequestError } from '../../src/errors.ts'
import { readSigningVectors, type SigningVector } from '../support/signing-vectors.ts'

const VECTORS = readSigningVectors()
const PAGE = readFileSync(new URL('../../docs/signing.md', import.meta.url), 'utf8')

/** What a node does with a signed URL. @throws RequestError if it refuses it. */
function admitSigned(signed: string, { key, expires }: SigningVector, now = (expires ?? 1_900_000_000) - 1) {
  const query = new URLSearchParams(signed.split('?').slice(1).join('?'))
  return admit(parsePictureUrl(signed), query, { kind: 'signed', keys: [key] }, now)
}

test('The vectors cover every form of URL, with and without expiry', () => {
  const forms = [/^\/image\/[^/.]+\/[^/.]+\?/, /^\/image\/[^/]+\/\w+\.webp\?/, /^\/image\/[^/]+\/\w+\/\w+\.webp\?/]
  forms.push(/^\/s3\/[^?]+\?s=/, /^\/s3\/[^?]+\?versionId=/, /^\/image\?url=/, /[?&]e=/)
  for (const form of forms) assert.ok(VECTORS.some(({ signed }) => form.test(signed)))
  assert.equal(new Set(VECTORS.map(({ name }) => name)).size, VECTORS.length)
})

for (const vector of VECTORS) {
  const { name, key, url, expires, text, signed, object, remote } = vector

  test(`Vector "${name}" is what Darkroom signs`, () => {
    const request = parsePictureUrl(url)
    const path = signedPath(request)
    const query = formatSignature(signPath(path, key, expires))
    assert.equal(formatPictureUrl(request), url)
    assert.equal(`${url}${url.includes('?') ? '&' : '?'}${query}`, signed)
    assert.equal(expires === undefined ? path : `${path}${path.includes('?') ? '&' : '?'}e=${expires}`, text)
    const { original } = request
    if (object !== undefined) {
      const { picture, ...ref } = object
      assert.deepEqual(original, { kind: 'object', ...ref })
      assert.match(url.split('?')[0] ?? '', new RegExp(`/-/${picture}$`))
    }
    if (remote !== undefined) {
      assert.deepEqual(original, { kind: 'remote', url: remote.url })
      assert.equal(parseRemoteUrl(remote.url), remote.url)
    }
  })

  test(`Vector "${name}" is admitted until it expires`, () => {
    assert.deepEqual(admitSigned(signed, vector), expires === undefined ? {} : { expiresInSeconds: 1 })
    if (expires === undefined) return
    assert.throws(() => admitSigned(signed, vector, expires), { code: 'signature_expired' })
  })

  test(`Vector "${name}" is refused with any byte changed, except within the name`, () => {
    const { name: pictureName = '' } = parsePictureUrl(url)
    const free = pictureName === '' ? -1 : signed.lastIndexOf(`/${pictureName}.`) + 1
    for (const [index, byte] of Array.from(signed).entries()) {
      const isName = free !== -1 && index >= free && index < free + pictureName.length
      // An escape of the name has to stay one.
      const other = isName ? '0' : byte === '0' ? '1' : '0'
      const changed = signed.slice(0, index) + other + signed.slice(index + 1)
      if (isName) admitSigned(changed, vector)
      else assert.throws(() => admitSigned(changed, vector), isRefusal, changed)
    }
  })
}

function isRefusal(error: unknown): boolean {
  return error instanceof RequestError && ['invalid_path', 'signature_invalid'].includes(error.code)
}

test('The signature of a remote image is that of its URL as browsers write it', () => {
  const vector = VECTORS.find(({ remote, expires }) => remote !== undefined && expires === undefined)
  assert.ok(vector)
  const other = vector.signed.replace('images.example.com', 'IMAGES.example.com:443')
  assert.notEqual(other, vector.signed)
  admitSigned(other, vector)
})

test('docs/signing.md shows the vectors as they are', () => {
  const rows = VECTORS.map(({ name, url, text, signed }) => {
    const signature = new URLSearchParams(signed.slice(signed.indexOf('?'))).get('s')
    return `| ${name} | \`${url}\` | \`${text}\` | \`${signature}\` |\n`
  })
  const table = `| form | URL | signed text | \`s=\` |\n| --- | --- | --- | --- |\n${rows.join('')}`
  assert.ok(PAGE.includes(`\n\n${table}\n`), `docs/signing.md should contain this table:\n\n${table}`)
  for (const key of new Set(VECTORS.map((vector) => vector.key))) assert.ok(PAGE.includes(`\`${key}\``), key)
})
