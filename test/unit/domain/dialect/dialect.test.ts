import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isOneOf } from '../../../../src/domain/access/signature.ts'
import { imgproxySignatures, thumborSignatures } from '../../../../src/domain/dialect/dialect.ts'

const GOPHER = '500x500/top/raw.githubusercontent.com/cshum/imagor/master/testdata/gopher.png'
const CURIOSITY = '/rs:fill:300:400:0/g:sm/aHR0cDovL2V4YW1w/bGUuY29tL2ltYWdl/cy9jdXJpb3NpdHku/anBn.png'
const IMGPROXY_KEY = { key: '736563726574', salt: '68656C6C6F' }

test("thumbor's signature is the one of its documentation", () => {
  assert.deepEqual(thumborSignatures('300x200/my.server.com/some/path/to/image.jpg', { keys: ['my-security-key'] }), [
    '8ammJH8D-7tXy6kU3lTvoXlhu4o=',
  ])
})

test("imagor's signature is the one of its documentation", () => {
  assert.deepEqual(thumborSignatures(GOPHER, { keys: ['mysecret'] }), ['cST4Ko5_FqwT3BDn-Wf4gO3RFSk='])
})

test("imagor's other hashes make longer signatures, of which a part can be kept", () => {
  const keys = ['mysecret']
  const [whole = ''] = thumborSignatures(GOPHER, { keys, hash: 'sha256' })
  assert.match(whole, /^[\w-]{43}=$/)
  assert.deepEqual(thumborSignatures(GOPHER, { keys, hash: 'sha256', length: 40 }), [whole.slice(0, 40)])
  assert.match(thumborSignatures(GOPHER, { keys, hash: 'sha512' }).join(), /^[\w-]{86}==$/)
})

test("imgproxy's signature is the one of its documentation", () => {
  assert.deepEqual(imgproxySignatures(CURIOSITY, { keys: [IMGPROXY_KEY] }), [
    'oKfUtW34Dvo2BGQehJFR4Nr0_rIjOtdtzJ3QFsUcXH8',
  ])
})

test('An imgproxy signature of eight bytes is of the first eight', () => {
  assert.deepEqual(imgproxySignatures(CURIOSITY, { keys: [IMGPROXY_KEY], sizeBytes: 8 }), ['oKfUtW34Dvo'])
})

test('A signature by any of several keys is one of those that are accepted', () => {
  const signatures = thumborSignatures(GOPHER, { keys: ['a newer key', 'mysecret'] })
  assert.equal(signatures.length, 2)
  assert.ok(isOneOf('cST4Ko5_FqwT3BDn-Wf4gO3RFSk=', signatures))
  for (const forged of ['', 'cST4Ko5_FqwT3BDn-Wf4gO3RFSk', 'cST4Ko5_FqwT3BDn-Wf4gO3RFSj=', `${signatures[0]} `]) {
    assert.ok(!isOneOf(forged, signatures), forged)
  }
  assert.ok(!isOneOf('cST4Ko5_FqwT3BDn-Wf4gO3RFSk=', thumborSignatures(GOPHER, { keys: [] })))
})
