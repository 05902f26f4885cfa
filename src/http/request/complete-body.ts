import { type Readable, Transform } from 'node:stream'
import { assertEnd, createContainerEnd } from '../../domain/picture/container-end.ts'

/**
 * The same bytes, for uploads that no person watches: the stream fails at its end if the container of the image does not
 * end, as after a transfer that was cut in its last bytes.
 *
 * @returns a stream that also fails as `body` does, with OriginalError `original_broken`.
 */
export function completeBody(body: Readable): Readable {
  const end = createContainerEnd()
  const complete = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      end.push(chunk)
      done(null, chunk)
    },
    flush(done) {
      assertEnd(end)
      done()
    },
  })
  // An error without a reader must not end the process.
  complete.on('error', () => {})
  body.once('error', (error) => complete.destroy(error))
  complete.once('close', () => body.destroy())
  return body.pipe(complete)
}
