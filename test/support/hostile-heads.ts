import type { WholeSite } from './whole-site.ts'

const CLOSE = 'Host: a\r\nConnection: close\r\n'

/**
 * Requests with a second one inside, for servers that disagree on where the first ends. By what is wrong with them.
 * @param name In the path of the inner one, and nowhere else.
 */
export function smuggling(name: string): Readonly<Record<string, string>> {
  const inner = `GET /images/${name} HTTP/1.1\r\nHost: a\r\n\r\n`
  const inside = (fields: string, body: string, path = '/images') =>
    `POST ${path} HTTP/1.1\r\n${CLOSE}${fields}\r\n${body}`
  const length = `Content-Length: ${inner.length}\r\n`
  const chunked = 'Transfer-Encoding: chunked\r\n'
  const codings = [
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding : chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: x',
    'Transfer-Encoding: x\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding:\x0bchunked',
    'Transfer-Encoding: "chunked"',
    'X: X\nTransfer-Encoding: chunked',
    'Transfer-Encoding\r\n : chunked',
    ' Transfer-Encoding: chunked',
  ]
  const lengths = ['+5', '-5', '0x5', '5, 5', '5 5', '5,', '', '1e1', '5.0', '99999999999999999999', '5\x00', '05\xa0']
  return {
    'a length, and chunks that end before it': inside(length + chunked, `0\r\n\r\n${inner}`),
    'chunks, and a length that ends within them': inside(
      `Content-Length: 4\r\n${chunked}`,
      `5c\r\n${inner}\r\n0\r\n\r\n`,
    ),
    'a length of nothing, and chunks': inside(`${chunked}Content-Length: 0\r\n`, `0\r\n\r\n${inner}`),
    'two lengths': inside(`Content-Length: 0\r\n${length}`, inner),
    'two lengths the other way': inside(`${length}Content-Length: 0\r\n`, inner),
    ...Object.fromEntries(codings.map((coding) => [coding, inside(`${coding}\r\n${length}`, `0\r\n\r\n${inner}`)])),
    ...Object.fromEntries(
      lengths.map((text) => [
        `a length of ${JSON.stringify(text)}`,
        inside(`Content-Length: ${text}\r\n`, `abcde${inner}`),
      ]),
    ),
    'a chunk whose size overflows': inside(chunked, `ffffffffffffffff0\r\nx\r\n0\r\n\r\n${inner}`),
    'a chunk with a negative size': inside(chunked, `-1\r\nx\r\n0\r\n\r\n${inner}`),
    'a chunk with a size in another notation': inside(chunked, `0x1\r\nx\r\n0\r\n\r\n${inner}`),
    'a chunk that is longer than it says': inside(chunked, `1\r\nxx\r\n0\r\n\r\n${inner}`),
    'a chunk that ends by a bare line feed': inside(chunked, `1\nx\n0\n\n${inner}`),
    'a chunk with an extension without end': inside(chunked, `1;${'a'.repeat(20_000)}\r\nx\r\n0\r\n\r\n${inner}`),
    'a chunk with a line feed in its extension': inside(chunked, `1;\nx\r\n0\r\n\r\n${inner}`),
    'a trailer that is another head': inside(chunked, `0\r\nContent-Length: 5\r\nHost: b\r\n\r\n${inner}`),
    'a body of a GET': `GET /nothing HTTP/1.1\r\n${CLOSE}${length}\r\n${inner}`,
    'a body of a HEAD in chunks': `HEAD /nothing HTTP/1.1\r\n${CLOSE}${chunked}\r\n0\r\n\r\n`,
    'a body after which more comes': `POST /events/s3 HTTP/1.1\r\n${CLOSE}Content-Length: 2\r\n\r\n{}${inner}`,
    'a folded line': `GET /nothing HTTP/1.1\r\n${CLOSE}X: a\r\n GET /images/${name} HTTP/1.1\r\n\r\n`,
    'bare line feeds': `GET /nothing HTTP/1.1\nHost: a\nConnection: close\n\n`,
    'a bare carriage return': `GET /nothing HTTP/1.1\r\n${CLOSE}X: a\rGET /images/${name} HTTP/1.1\r\r\n\r\n`,
    'a line end in the path': `GET /nothing%0d%0aGET%20/x HTTP/1.1\r\n${CLOSE}\r\n`,
    'an encoded head in the path': `GET /nothing%20HTTP/1.1%0d%0aHost:%20b%0d%0a%0d%0a HTTP/1.1\r\n${CLOSE}\r\n`,
    'an upgrade': `GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    'an upgrade to HTTP/2': `GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
    'the head of HTTP/2': `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${inner}`,
    'an old version': `GET /nothing HTTP/1.0\r\nConnection: keep-alive\r\n${length}${chunked}\r\n0\r\n\r\n${inner}`,
  }
}

export interface HostileHead {
  readonly bytes: string
  readonly statuses: readonly number[]
}

/** Single requests with something wrong in the head. By what that is. */
export function hostileHeads({ id, pictures }: WholeSite): Readonly<Record<string, HostileHead>> {
  const picture = pictures['upload'] ?? ''
  const ask = (fields: string, statuses: readonly number[], line = `GET ${picture} HTTP/1.1`): HostileHead => ({
    bytes: `${line}\r\nConnection: close\r\n${fields}\r\n`,
    statuses,
  })
  const shown = (fields: string, statuses: readonly number[] = [200]) => ask(`Host: a\r\n${fields}`, statuses)
  const ranges = [
    `bytes=${'0-0,'.repeat(1500)}0-0`,
    `bytes=${'0-,'.repeat(1500)}0-`,
    'bytes=0-18446744073709551616',
    'bytes=9223372036854775807-9223372036854775808',
    'bytes=-9223372036854775808',
    'bytes=--1',
    'bytes=0x0-0x1',
    'bytes=1e1-2e1',
    'bytes=0-1;q=0',
    'bytes',
    '=0-1',
  ]
  const tags = ['"'.repeat(6000), `${'"a",'.repeat(1500)}"b"`, `W/${'W/'.repeat(2000)}"a"`, '\xff\xfe', ',,,,']
  const dates = ['Thu, 01 Jan 1970 00:00:00 GMT', 'Fri, 31 Dec 9999999 23:59:59 GMT', '-1', 'x'.repeat(6000)]
  return {
    ...Object.fromEntries(
      ranges.map((range) => [`range ${range.slice(0, 60)}`, shown(`Range: ${range}\r\n`, [200, 206, 416])]),
    ),
    ...Object.fromEntries(
      tags.flatMap((tag) => [
        [`If-None-Match ${tag.slice(0, 20)}`, shown(`If-None-Match: ${tag}\r\n`, [200])],
        [`If-Match ${tag.slice(0, 20)}`, shown(`If-Match: ${tag}\r\n`, [412])],
        [`If-Range ${tag.slice(0, 20)}`, shown(`If-Range: ${tag}\r\nRange: bytes=0-0\r\n`, [200])],
      ]),
    ),
    ...Object.fromEntries(
      dates.flatMap((date) => [
        [`If-Modified-Since ${date.slice(0, 30)}`, shown(`If-Modified-Since: ${date}\r\n`)],
        [`If-Unmodified-Since ${date.slice(0, 30)}`, shown(`If-Unmodified-Since: ${date}\r\n`, [200, 412])],
      ]),
    ),
    'two ranges': shown('Range: bytes=0-0\r\nRange: bytes=1-1\r\n', [200, 206, 400, 416]),
    'two hosts': ask('Host: a\r\nHost: evil.example\r\n', [400]),
    'a host with a path': ask('Host: evil.example/x?\r\n', [200, 400]),
    'a host that is a list': ask('Host: a, evil.example\r\n', [200, 400]),
    'a host of another kind': ask('Host: [::1\r\n', [200, 400]),
    'an absolute URL': ask('Host: a\r\n', [200], `GET http://evil.example${picture} HTTP/1.1`),
    'a redirect asked for under another host': ask('Host: evil.example\r\n', [301], `GET /image/${id}/40W HTTP/1.1`),
    'a redirect asked for by an absolute URL': ask(
      'Host: a\r\n',
      [301],
      `GET http://evil.example/image/${id}/40W HTTP/1.1`,
    ),
    'a path of another host': ask('Host: a\r\n', [400, 404], `GET //evil.example/image/${id}/40W HTTP/1.1`),
    'two tokens': ask(
      'Host: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n',
      [400, 401],
      `GET /images/${id}/original HTTP/1.1`,
    ),
    'a token without end': ask(
      `Host: a\r\nAuthorization: Bearer ${'x'.repeat(7000)}\r\n`,
      [401],
      `DELETE /images/${id} HTTP/1.1`,
    ),
    'a header without end': shown(`X: ${'x'.repeat(30_000)}\r\n`, [431]),
    'headers without end': shown('X: x\r\n'.repeat(6000), [431]),
    'a name of a header with a space in it': shown('X y: z\r\n', [200, 400]),
    'a header with NUL in it': shown('X: a\x00b\r\n', [400]),
    'an empty name of a header': shown(': x\r\n', [200, 400]),
    'an unknown expectation': shown('Expect: hacked\r\n', [200, 417]),
    'a method in another case': ask('Host: a\r\n', [400, 405], `get ${picture} HTTP/1.1`),
    'a method of no kind': ask('Host: a\r\n', [400, 405], `HACKED ${picture} HTTP/1.1`),
    'a method without end': ask('Host: a\r\n', [400, 405, 414, 431], `${'A'.repeat(3000)} ${picture} HTTP/1.1`),
    'TRACE, which would tell of cookies': ask('Host: a\r\nCookie: hacked\r\n', [405], 'TRACE / HTTP/1.1'),
    'a method in a header': ask('Host: a\r\nX-HTTP-Method-Override: DELETE\r\n', [405], 'POST /images/x HTTP/1.1'),
    'an unknown version': ask('Host: a\r\n', [400, 505], `GET ${picture} HTTP/3.9`),
    'a length where none belongs': shown('Content-Length: 0\r\n'),
    'a URL without end': ask('Host: a\r\n', [400, 404, 414, 431], `GET /${'x'.repeat(30_000)} HTTP/1.1`),
    'a query without end': ask('Host: a\r\n', [414, 431], `GET ${picture}?${'x'.repeat(30_000)} HTTP/1.1`),
  }
}
