import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { formatSignature, signPath } from '../../../../src/domain/access/signature.ts'
import { admit, readmittingQuery } from '../../../../src/domain/access/size-policy.ts'
import { formatAlias, parseAlias } from '../../../../src/domain/identity/image-id.ts'
import { aliasKey } from '../../../../src/domain/stored/store-layout.ts'
import { parseImagePath, signedPath } from '../../../../src/domain/url/picture-url.ts'
import { createAliasService } from '../../../../src/service/library/alias-service.ts'
import { putBytes } from '../../../../src/service/tools/small-object.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, idOf, never } from '../../../support/service-stage.ts'

const BYTES = original()
const ID = idOf(BYTES)
const OTHER = 'ab'.repeat(20)
const SHA1 = createHash('sha1').update(BYTES).digest('hex')

test('An alias is our id, under a key of two levels of folders', () => {
  assert.equal(aliasKey(SHA1), `aliases/${SHA1.slice(0, 2)}/${SHA1.slice(2, 4)}/${SHA1}`)
  assert.equal(parseAlias(formatAlias(ID)), ID)
  assert.equal(parseAlias(`${ID}\n`), ID)
  for (const text of ['', ID.slice(1), ID.toUpperCase(), `${ID} ${ID}`]) assert.equal(parseAlias(text), undefined)
})

test('What a SHA-1 leads to is never changed, as two files can have the same', async () => {
  const { aliases, store } = createStage()
  assert.equal(await aliases.add(SHA1, ID, never), 'created')
  assert.equal(await aliases.add(SHA1, ID, never), 'exists')
  assert.equal(await aliases.add(SHA1, OTHER, never), 'exists')
  assert.equal(await createAliasService(store, 1000).find(SHA1, never), ID)
})

test('What stands there and is no alias leads nowhere, and is replaced', async () => {
  const { aliases, store } = createStage()
  await putBytes(store, { key: aliasKey(SHA1), bytes: Buffer.from('?'), contentType: 'text/plain' }, never)
  assert.equal(await aliases.find(SHA1, never), undefined)
  assert.equal(await aliases.add(SHA1, ID, never), 'created')
  assert.equal(await aliases.find(SHA1, never), ID)
})

test('The store is asked once for an alias, however many ask, and for what is none once a moment', async () => {
  const { aliases, asked } = createStage()
  const reads = () => asked.filter((call) => call === `open ${aliasKey(SHA1)}`).length
  await Promise.all(Array.from({ length: 9 }, () => aliases.find(SHA1, never)))
  assert.equal(await aliases.find(SHA1, never), undefined)
  assert.equal(reads(), 1)
  await aliases.add(SHA1, ID, never)
  for (let turn = 0; turn < 3; turn += 1) assert.equal(await aliases.find(SHA1, never), ID)
  assert.equal(reads(), 2)
})

test('A deletion by the SHA-1 deletes the image, can be repeated, and leaves the alias', async () => {
  const { upload, aliases, deletions, records } = createStage()
  await assert.rejects(deletions.remove(SHA1, never), { code: 'original_not_found' })
  await aliases.add(SHA1, ID, never)
  await assert.rejects(deletions.remove(SHA1, never), { code: 'original_not_found' }, 'it leads to nothing')
  await upload(BYTES)
  await deletions.remove(SHA1, never)
  await assert.rejects(records.record(ID, never), { code: 'original_deleted' })
  await deletions.remove(SHA1, never)
  assert.equal(await aliases.find(SHA1, never), ID)
})

test('A signature is carried over to the image by the key that made it, until the same time, and no wrong one is', () => {
  const keys = ['a-key-of-this-very-test', 'another-key-of-this-test']
  const [given, wanted] = [parseImagePath(`/image/${SHA1}/400w/a.jpg`), parseImagePath(`/image/${ID}/400w/a.jpg`)]
  for (const key of keys) {
    const text = `v=1&${formatSignature(signPath(signedPath(given), key, 2000))}`
    const query = new URLSearchParams(readmittingQuery(given, wanted, new URLSearchParams(text), keys))
    assert.equal(query.get('v'), '1')
    assert.deepEqual(admit(wanted, query, { kind: 'signed', keys: [key] }, 1000), { expiresInSeconds: 1000 })
    const others = keys.filter((each) => each !== key)
    assert.throws(() => readmittingQuery(given, wanted, new URLSearchParams(text), others), {
      code: 'signature_invalid',
    })
  }
  const wrong = new URLSearchParams(formatSignature(signPath(signedPath(wanted), keys[0] ?? '')))
  assert.throws(() => readmittingQuery(given, wanted, wrong, keys), { code: 'signature_invalid' })
})
