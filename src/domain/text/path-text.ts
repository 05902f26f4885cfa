import { RequestError } from '../../errors.ts'

/** True unless a percent sign stands without two hexadecimal digits, or a NUL is encoded. The bytes need not be UTF-8. */
export function isPercentEncoded(text: string): boolean {
  return !/%(?:00|(?![0-9a-f]{2}))/i.test(text)
}

/**
 * True for a path that nginx takes: correctly percent-encoded, and with no `..` that leads out of the root. Encoded slashes and
 * dots count as such; of doubled slashes each begins a segment.
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

/** For a URL that can't be read, or asks for what is never served. @param reason For whoever wrote it. */
export function invalidPath(reason: string): RequestError {
  return new RequestError('invalid_path', reason)
}
