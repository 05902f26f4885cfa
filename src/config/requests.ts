import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { CACHE_TAG_HEADERS, parseCacheTagHeader } from '../domain/caching/cache-tags.ts'
import { parseDialectMount } from '../domain/dialect/dialects.ts'
import { parseAddressBlock } from '../domain/network/ip-address.ts'
import { INPUT_FORMATS } from '../domain/spec/image-format.ts'
import {
  byteSize,
  choice,
  count,
  facts,
  flag,
  list,
  optionalByteSize,
  parseInputFormat,
  parseKeyAndSalt,
  parseSecret,
  SECRETS,
  sourceBase,
  webUrl,
  whole,
} from './fields.ts'
import { DEFAULT_MAX_SIDE } from './sizes.ts'

/** Settings of the HTTP server and of the proxies in front of it. */
export const SERVER = {
  HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .meta(facts({ about: 'Address that the server listens on.', allowed: 'IP address or host name of this machine' })),
  PORT: whole(0, 65_535)
    .default(8080)
    .meta(facts({ about: 'TCP port that the server listens on. 0 selects a free port.' })),
  PUBLIC_URL: webUrl('https://img.example.com', {
    about: 'Base of the URLs in responses.',
    whenUnset: 'URLs in responses begin with /',
  }),
  HOME_PAGE: flag(true, {
    about: 'Serve a page at / to try uploads, sizes and options in a browser. Without it, GET / is a 404.',
  }),
  ACCEL_PREFIX: z
    .string()
    .regex(/^(?:|\/(?:[\w-]+\/)+)$/, 'should begin and end with a slash, such as /_renditions/')
    .default('')
    .meta(
      facts({
        about:
          'Internal location of nginx that maps to CACHE_DIR/renditions. The server then answers with X-Accel-Redirect, and nginx sends the file.',
        allowed: 'path that begins and ends with a slash, such as /_renditions/',
        whenUnset: 'the server sends files itself',
      }),
    ),
  CACHE_TAG_HEADERS: list(
    parseCacheTagHeader,
    { preset: 'Cache-Tag', separator: /[\s,]+/ },
    {
      about:
        'Response headers with the tag of a picture, by which a CDN purges all of its sizes. nginx.conf has the same names in $tag_headers.',
      allowed: `names among ${CACHE_TAG_HEADERS.join(', ')}, separated by commas`,
    },
  ),
  TRUSTED_PROXIES: list(
    parseAddressBlock,
    {},
    {
      about:
        'Proxies whose X-Forwarded-For header is trusted. With ACCEL_PREFIX, loopback addresses are trusted in addition.',
      allowed: 'addresses and CIDR blocks, separated by spaces',
      whenUnset: 'no proxies',
    },
  ),
} as const

/** Settings of authorization. */
export const ACCESS = {
  UPLOAD_TOKENS: list(
    parseSecret,
    {},
    {
      about: 'Bearer tokens that authorize uploads, deletions, originals and private metadata.',
      allowed: SECRETS,
      whenUnset:
        'with a file: store, a loopback HOST and no ACCEL_PREFIX, a token is generated and saved as upload-token in the folder of the store; any other node is read-only',
    },
  ),
  EVENT_TOKENS: list(
    parseSecret,
    {},
    {
      about: 'Tokens that authorize event notifications of S3 servers (POST /events/s3).',
      allowed: SECRETS,
      whenUnset: 'event notifications are refused',
    },
  ),
  SHOW_GPS: flag(false, {
    about: 'Include the GPS position in GET /images/{id}/info. It is sent to requests with an upload token only.',
  }),
} as const

/** Settings of the URL dialects of other services. */
export const DIALECTS = {
  DIALECTS: list(
    parseDialectMount,
    {},
    {
      about:
        'URL dialects of other services (thumbor, imagor, imgproxy, ipx), each with the path or the host that serves it (docs/dialects.md).',
      allowed: 'entries such as thumbor=/thumbor or imgproxy=img.example.com, separated by spaces',
      whenUnset: 'none',
    },
  ),
  DIALECT_FORMAT: choice(['source', 'negotiated'], 'source', {
    about:
      'Output format of dialect URLs that name none: that of the original (source), or the best one that the client accepts (negotiated). Requires DIALECTS.',
  }),
  THUMBOR_KEYS: list(
    (key) => key,
    {},
    {
      about: 'Keys of signed thumbor and imagor URLs; all of them verify. Requires thumbor or imagor in DIALECTS.',
      allowed: 'keys, separated by spaces',
      whenUnset: '/unsafe/ URLs are served, and no signed ones',
    },
  ),
  THUMBOR_HASH: choice(['sha1', 'sha256', 'sha512'], 'sha1', {
    about: 'Hash function of thumbor and imagor signatures. Requires thumbor or imagor in DIALECTS.',
  }),
  THUMBOR_SIGNATURE_LENGTH: whole(1, 88)
    .optional()
    .meta(
      facts({
        about: 'Length that thumbor and imagor signatures are truncated to. Requires thumbor or imagor in DIALECTS.',
        unit: 'characters',
        whenUnset: 'not truncated',
      }),
    ),
  THUMBOR_BASE: sourceBase('https://', {
    about: 'Prefix of thumbor and imagor source URLs that have no scheme. Requires thumbor or imagor in DIALECTS.',
  }),
  IMGPROXY_KEYS: list(
    parseKeyAndSalt,
    {},
    {
      about: 'Keys and salts of signed imgproxy URLs; all of them verify. Requires imgproxy in DIALECTS.',
      allowed: '<key>:<salt> in hexadecimal digits, separated by spaces',
      whenUnset: 'unsigned URLs are served',
    },
  ),
  IMGPROXY_SIGNATURE_BYTES: whole(1, 32)
    .default(32)
    .meta(
      facts({
        about: 'Length that imgproxy signatures are truncated to. Requires imgproxy in DIALECTS.',
        unit: 'bytes',
      }),
    ),
  IMGPROXY_BASE: sourceBase('', {
    about: 'Prefix of imgproxy source URLs that have no scheme. Requires imgproxy in DIALECTS.',
    whenUnset: 'none',
  }),
  IPX_BASE: sourceBase('', {
    about: 'Prefix of ipx source URLs that have no scheme. Requires ipx in DIALECTS.',
    whenUnset: 'none',
  }),
} as const

const MIB = 2 ** 20

/** Settings of decoding and encoding. */
export const RENDERING = {
  INPUT_FORMATS: list(
    parseInputFormat,
    { preset: 'jpeg png webp avif gif' },
    {
      about: 'Accepted formats of originals.',
      allowed: `any of ${INPUT_FORMATS.join(', ')}, separated by spaces`,
    },
  ),
  KEEP_COPYRIGHT: flag(false, {
    about: 'Copy the EXIF copyright and artist of the original to its renditions. All other metadata is removed.',
  }),
  MEZZANINE_MIN_PIXELS: whole(0)
    .default(250_000)
    .meta(
      facts({
        about:
          'Originals of at least this size get mezzanines: reduced copies that small renditions are made from. 0 disables mezzanines. Those of objects in buckets and of remote images are only made from 1,000,000 on.',
        unit: 'pixels',
      }),
    ),
  MEZZANINES_AT: choice(['first', 'second'], 'second', {
    about:
      'The size of an object or a remote image with which its mezzanines are made: with the first size where pages have srcset, with the second where many pictures are viewed in one size. Uploads get theirs at once.',
  }),
  RENDER_CONCURRENCY: count(availableParallelism(), {
    about: 'Renders that run at the same time, each in a process of its own.',
    whenUnset: 'the number of CPU cores',
  }),
  RENDER_MEMORY_BYTES: optionalByteSize({
    about: 'Memory of all renders together.',
    whenUnset:
      'the memory of the machine or its container minus that of the node, at most 1.5 GB, or 400 MB per concurrent render if that is more',
  }),
} as const

/** Limits of originals, renditions, queues and times. */
export const LIMITS = {
  MAX_UPLOAD_BYTES: byteSize(64 * MIB, { about: 'Maximum size of an original.' }),
  MAX_PIXELS: count(100_000_000, {
    about: 'Maximum resolution of an original: width times height, summed over its frames.',
    unit: 'pixels',
  }),
  MAX_FRAMES: count(500, { about: 'Maximum number of frames of an original.', unit: 'frames' }),
  MAX_SIDE: whole(16, 16_383)
    .default(DEFAULT_MAX_SIDE)
    .meta(facts({ about: 'Maximum width and height of a rendition.', unit: 'pixels' })),
  RENDER_QUEUE_MAX: count(2000, {
    about:
      'Maximum number of requests that wait for their original or a render; further ones are answered 503. One client can hold at most as many places as remain free.',
    unit: 'requests',
  }),
  RENDER_WAIT_MAX_SECONDS: z.coerce
    .number({ error: 'should be a number of seconds, at least 0.1' })
    .min(0.1, 'should be at least 0.1')
    .default(15)
    .meta(
      facts({
        about:
          'Maximum time that a picture or an upload waits for a renderer. A longer expected wait is answered 503 at once.',
        unit: 'seconds',
      }),
    ),
  RENDER_TIMEOUT_SECONDS: count(12, { about: 'Timeout of a render.', unit: 'seconds' }),
  FETCH_CONCURRENCY: count(32, {
    about: 'Originals that are fetched from the store at the same time.',
    unit: 'fetches',
  }),
  FETCH_QUEUE_MAX: count(2000, {
    about:
      'Maximum number of fetches that wait for their turn; further ones are answered 503. A fetch waits for at most RENDER_WAIT_MAX_SECONDS.',
    unit: 'fetches',
  }),
  STORE_TIMEOUT_SECONDS: count(10, { about: 'Timeout of reading an original from the store.', unit: 'seconds' }),
  REQUEST_TIMEOUT_SECONDS: count(30, {
    about:
      'Timeout of a request: without a response by then, it is answered 503 or 504. It must exceed RENDER_TIMEOUT_SECONDS plus the largest of RENDER_WAIT_MAX_SECONDS, STORE_TIMEOUT_SECONDS and, with REMOTE_HOSTS, REMOTE_TIMEOUT_SECONDS.',
    unit: 'seconds',
  }),
  NOT_FOUND_PER_MINUTE: whole(0)
    .default(600)
    .meta(
      facts({
        about:
          'Rate limit of each client (an IPv4 address, or the first 64 bits of an IPv6 address) for images that do not exist: an unknown id counts as 4 requests to the store, an unknown key or URL as 1. Half of it is the rate at which requests are let through; those above it wait for up to 5 s and are then answered 429, except for images that this node knows. Requests from this machine or with an upload token are exempt. 0 disables the limit.',
        unit: 'requests to the store per minute',
      }),
    ),
  DRAIN_SECONDS: whole(0)
    .default(2)
    .meta(
      facts({
        about: 'Time to keep serving after SIGTERM, while /readyz answers 503.',
        unit: 'seconds',
      }),
    ),
} as const

/** Settings of the log. */
export const LOGGING = {
  LOG_LEVEL: choice(['debug', 'info', 'warn', 'error', 'silent'], 'info', {
    about: 'Minimum severity of log lines. silent disables the log.',
  }),
} as const
