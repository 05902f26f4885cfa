import { RequestError } from '../../errors.ts'

/**
 * Whether each percent sign is followed by two hexadecimal digits, and no NUL is encoded. The bytes need not be UTF-8.
 */
export function isPercentEncoded(text: string): boolean {
  return !/%(?:00|(?![0-9a-f]{2}))/i.test(text)
}

/**
 * Whether nginx accepts the path: it is correctly percent-encoded, and no `..` leads out of the root. Encoded slashes
 * and dots count; each of two consecutive slashes begins a segment.
 * @param path Begins with a slash; without the query.
 * @see https://github.com/nginx/nginx/blob/release-1.22.1/src/http/ngx_http_parse.c (`ngx_http_parse_complex_uri`)
 */
export function isWithinRoot(path: string): boolean {
  if (!/%|\/\./.test(path)) return true
  if (!isPercentEncoded(path)) return false
  let depth = 0
  for (const segment of path
    .replaceAll(/%2e/gi, '.')
    .split(/\/|%2f/i)
    .slice(1)) {
    if (segment === '..') depth -= 1
    else if (segment !== '.') depth += 1
    if (depth < 0) return false
  }
  return true
}

/** The error for a malformed URL, or one that is never served. @param reason For the client. */
export function invalidPath(reason: string): RequestError {
  return new RequestError('invalid_path', reason)
}
