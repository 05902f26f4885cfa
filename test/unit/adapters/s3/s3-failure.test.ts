import assert from 'node:assert/strict'
import { test } from 'node:test'
import { S3Failure, toS3Failure } from '../../../../src/adapters/s3/s3-failure.ts'
import { UnavailableError } from '../../../../src/errors.ts'

const CASES = [
  [{ name: 'NoSuchKey', status: 404 }, 'absent', 'store_unavailable'],
  [{ name: 'NoSuchVersion', status: 404 }, 'absent', 'store_unavailable'],
  [{ name: 'XMinioInvalidObjectName', status: 400 }, 'unnamable', 'store_unavailable'],
  [{ name: 'KeyTooLongError', status: 400 }, 'unnamable', 'store_unavailable'],
  [{ name: 'InvalidArgument', status: 400 }, 'malformed', 'store_unavailable'],
  [{ name: 'MethodNotAllowed', status: 405 }, 'marker', 'store_unavailable'],
  [{ name: 'Unknown', status: 304 }, 'unchanged', 'store_unavailable'],
  [{ name: 'Unknown', status: 400 }, 'unclear', 'store_unavailable'],
  [{ name: 'Unknown', status: 405 }, 'unclear', 'store_unavailable'],
  [{ name: 'AuthorizationHeaderMalformed', status: 400 }, 'refused', 'store_unavailable'],
  [{ name: 'NoSuchBucket', status: 404 }, 'no_bucket', 'store_unavailable'],
  [{ name: 'NotFound', status: 404 }, 'unclear', 'store_unavailable'],
  [{ name: 'PreconditionFailed', status: 412 }, 'taken', 'store_unavailable'],
  [{ name: 'Unknown', status: 412 }, 'taken', 'store_unavailable'],
  [{ name: 'ConditionalRequestConflict', status: 409 }, 'conflict', 'store_unavailable'],
  [{ name: 'RequestTimeTooSkewed', status: 403 }, 'skewed', 'store_unavailable'],
  [{ name: 'SignatureDoesNotMatch', status: 403 }, 'refused', 'store_unavailable'],
  [{ name: 'Unknown', status: 403 }, 'refused', 'store_unavailable'],
  [{ name: 'CredentialsProviderError' }, 'no_credentials', 'store_unavailable'],
  [{ name: 'Error', code: 'EPROTO' }, 'no_tls', 'store_unavailable'],
  [{ name: 'QuotaExceeded', status: 403 }, 'full', 'store_full'],
  [{ name: 'XMinioStorageFull', status: 507 }, 'full', 'store_full'],
  [{ name: 'Unknown', status: 507 }, 'full', 'store_full'],
  [{ name: 'SlowDown', status: 503 }, 'busy', 'store_unavailable'],
  [{ name: 'SlowDown', status: 429 }, 'busy', 'store_unavailable'],
  [{ name: 'InternalError', status: 500 }, 'busy', 'store_unavailable'],
  [{ name: 'BadDigest', status: 400 }, 'damaged', 'store_unavailable'],
  [{ name: 'Unknown', status: 302 }, 'foreign', 'store_unavailable'],
  [{ name: 'SyntaxError', status: 200 }, 'foreign', 'store_unavailable'],
  [{ name: 'TimeoutError', code: 'ECONNRESET' }, 'down', 'store_unavailable'],
  [{ name: 'TimeoutError' }, 'down', 'store_unavailable'],
  [{ name: 'Error', code: 'ECONNREFUSED' }, 'down', 'store_unavailable'],
] as const

for (const [facts, verdict, code] of CASES) {
  test(`${Object.values(facts).join(' ')} is judged ${verdict}`, () => {
    const failure = toS3Failure(sdkError(facts), 'GET bucket/key')
    assert.ok(failure instanceof S3Failure)
    assert.equal(failure.verdict, verdict)
    assert.equal(failure.code, code)
  })
}

test('the cause says what was tried and what was answered, and neither text nor fields of the answer', () => {
  const secret = 'AKIASECRET'
  const error = Object.assign(sdkError({ name: 'InvalidAccessKeyId', status: 403 }), { AWSAccessKeyId: secret })
  error.message = `The key ${secret} is not known`
  const { message, cause } = toS3Failure(error, 'GET bucket/key')
  assert.equal(
    message,
    'The object store rejects the credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and the policy of their user',
  )
  assert.ok(cause instanceof Error)
  assert.equal(cause.message, 'GET bucket/key: InvalidAccessKeyId, HTTP 403')
  assert.deepEqual(Object.keys(cause), [])
})

test('what has been judged already is passed on', () => {
  const error = new UnavailableError('store_unavailable', 'The file to store cannot be read')
  assert.equal(toS3Failure(error, 'PUT bucket/key'), error)
})

function sdkError({ name, status, code }: { name: string; status?: number; code?: string }): Error {
  const metadata = status === undefined ? {} : { $metadata: { httpStatusCode: status } }
  return Object.assign(new Error('text'), { name }, metadata, code === undefined ? {} : { code })
}
