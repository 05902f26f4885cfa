import { z } from 'zod'
import { MAX_PRIME_SIZES } from '../domain/access/prime-sizes.ts'
import { parseDialectMount } from '../domain/dialect/dialects.ts'
import { parseAddressBlock } from '../domain/network/ip-address.ts'
import { parseCanonicalSpec } from '../domain/spec/spec.ts'
import { choice, facts, flag, list, parseKeyAndSalt, parseSecret, sourceBase, webUrl, whole } from './fields.ts'

const SECRETS = 'secrets of at least 16 characters, separated by spaces'

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

/** Settings of the sizes that clients may request. */
export const SIZES = {
  SIZE_POLICY: choice(['open', 'list', 'signed'], 'open', {
    about:
      'Allowed sizes: all of them (open), those of SIZES (list), or those of URLs with a valid signature (signed).',
  }),
  SIZES: list(
    parseCanonicalSpec,
    {},
    {
      about: 'Allow-list of sizes. Required with SIZE_POLICY=list, and refused without it.',
      allowed: 'sizes such as "400w 800w 100s", separated by spaces',
      whenUnset: 'none',
    },
  ),
  SIZES_FALLBACK: choice(['refuse', 'redirect'], 'refuse', {
    about:
      'Answer to a size that is not in SIZES: 403 (refuse), or 302 to the next larger width that is equal otherwise (redirect). Requires SIZE_POLICY=list.',
  }),
  URL_KEYS: list(
    parseSecret,
    {},
    {
      about:
        'Keys of URL signatures. The first one signs; all of them verify. Required with SIZE_POLICY=signed, and refused without it.',
      allowed: SECRETS,
      whenUnset: 'none',
    },
  ),
  PRIME_SIZES: list(
    parseCanonicalSpec,
    { max: MAX_PRIME_SIZES },
    {
      about: 'Sizes that are rendered after every upload, before they are requested. An upload may add its own.',
      allowed: `at most ${MAX_PRIME_SIZES} sizes such as "400w 800w", separated by spaces`,
      whenUnset: 'none',
    },
  ),
  RETICULUM_SIZES: flag(false, {
    about: 'Accept text around a size in /image/ URLs, such as thumb-400w, as Reticulum does.',
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
