import { RequestError } from '../../errors.ts'

/** For a URL that can't be read, or asks for what is never served. @param reason For whoever wrote it. */
export function invalidPath(reason: string): RequestError {
  return new RequestError('invalid_path', reason)
}
