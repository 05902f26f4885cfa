import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { INPUT_FORMATS } from '../domain/spec/image-format.ts'
import { byteSize, choice, count, facts, flag, list, optionalByteSize, parseInputFormat, whole } from './fields.ts'

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
    .default(3_000_000)
    .meta(
      facts({
        about:
          'Originals of at least this size get mezzanines: reduced copies that small renditions are made from. 0 disables mezzanines.',
        unit: 'pixels',
      }),
    ),
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
    .default(8192)
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
