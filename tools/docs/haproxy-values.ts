import { ERROR_HEADERS } from '../../src/domain/caching/http-caching.ts'
import { RETHUMB_PATH_PATTERN } from '../../src/domain/dialect/rethumb-path.ts'
import { THUMBOR_PARTS_PATTERN } from '../../src/domain/dialect/thumbor-path.ts'
import { SERVER_OPTIONS } from '../../src/domain/network/front-plan.ts'
import { SERVER_ERRORS, type ServerError } from '../../src/http/answer/error-response.ts'

/** Statuses that HAProxy itself can answer; clients see its 502 and 504 as 503. */
const OWN_ERRORS: Readonly<Record<number, keyof typeof SERVER_ERRORS>> = {
  400: 400,
  403: 403,
  404: 404,
  408: 408,
  429: 429,
  500: 500,
  501: 501,
  502: 503,
  503: 503,
  504: 503,
}

/** What the placeholders of the templates in tools/docs/haproxy/ stand for: text made from the tables of src/. */
export const HAPROXY_VALUES: ReadonlyMap<string, string> = new Map([
  ['own-errors', ownErrors()],
  ['server-options', SERVER_OPTIONS],
  ['rethumb-path', sourceOnly(RETHUMB_PATH_PATTERN, 'url')],
  ['thumbor-parts', sourceOnly(THUMBOR_PARTS_PATTERN.replace('(?<rest>.*)$', ''), '')],
])

function ownErrors(): string {
  return Object.entries(OWN_ERRORS)
    .map(([status, like]) => ownError(Number(status), SERVER_ERRORS[like], Number(status) !== like))
    .join('\n')
}

function ownError(status: number, { code, message, retryAfterSeconds }: ServerError, isRenamed: boolean): string {
  const headers = {
    ...ERROR_HEADERS,
    ...(retryAfterSeconds !== undefined && { 'Retry-After': String(retryAfterSeconds) }),
    ...(isRenamed && { 'X-Front-Error': '1' }),
  }
  const body = quote(JSON.stringify({ error: code, message }))
  const hdrs = Object.entries(headers).map(([name, value]) => `hdr ${name} ${quote(value)}`)
  return [`http-error status ${status} content-type application/json string ${body}`, ...hdrs].join(' ')
}

/** An expression of JavaScript without its anchor at the start, for PCRE: the only group that captures is that of the source. */
function sourceOnly(pattern: string, group: string): string {
  const named = /\(\?<(?<name>[a-z]\w*)>/gi
  return pattern
    .replace(/^\^/, '')
    .replaceAll(String.raw`\/`, '/')
    .replaceAll(named, (_, name: string) => (name === group ? '(' : '(?:'))
}

function quote(value: string): string {
  return /^[\w*-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`
}
