import { MAX_FEED_EVENTS } from './feed-handlers.ts'
import { inQuery, json, LINES, TOKEN, TOKEN_ERRORS } from './openapi-schemas.ts'
import { REJECTION_REPORT } from './rejection-handler.ts'

const STRINGS = { type: 'array', items: { type: 'string' } } as const
const PURGE = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: { ids: STRINGS, keys: STRINGS, prefixes: STRINGS, urls: STRINGS, hosts: STRINGS, labels: STRINGS },
} as const

/** Operations on events and on the caches of all nodes. */
export const EVENT_OPERATIONS = {
  feed: {
    method: 'get',
    path: '/events',
    summary: 'Events of stored and deleted images, at least once each',
    description:
      'JSON lines, each a CloudEvent. The header Link has the URL of the next request. Without new events the response is delayed.',
    parameters: [
      inQuery('after', 'Cursor of the Link header of an earlier response. Absent: the oldest event.', {
        type: 'string',
      }),
      inQuery('limit', 'No batch is added when a page has so many events. Default: 1000.', {
        type: 'integer',
        minimum: 1,
        maximum: MAX_FEED_EVENTS,
      }),
      inQuery('wait', 'Longest wait for events. Seconds. Default: 20.', { type: 'integer', minimum: 0 }),
    ],
    responses: { 200: { description: 'An event on each line.', content: LINES } },
    errors: ['invalid_path', 'invalid_cursor', 'cursor_expired', ...TOKEN_ERRORS],
    security: TOKEN,
  },
  reportRejection: {
    method: 'post',
    path: '/events',
    summary: 'Report a file that an unattended entry point rejected, for an event image.rejected',
    requestBody: { required: true, content: json(REJECTION_REPORT) },
    responses: {
      202: {
        description: 'The event is durable.',
        content: json({ type: 'object', required: ['id'], properties: { id: { type: 'string' } } }),
      },
    },
    errors: ['invalid_event', ...TOKEN_ERRORS],
    security: TOKEN,
  },
  events: {
    method: 'post',
    path: '/events/s3',
    summary: 'Event notifications of a bucket (EVENT_TOKENS)',
    parameters: [
      inQuery('access_token', 'The token, for senders without an Authorization header.', { type: 'string' }),
    ],
    requestBody: { required: true, content: json({ type: 'object', properties: { Records: { type: 'array' } } }) },
    responses: { 204: { description: 'The caches are purged.' } },
    errors: ['invalid_event', 'token_required'],
    security: [{ eventToken: [] }],
  },
  purge: {
    method: 'post',
    path: '/purge',
    summary: 'Make all nodes forget renditions and copies of images; originals of uploads stay',
    description:
      'JSON lists, at most 1000 entries in all: ids of uploads, keys and prefixes of objects (alias/key), urls and hosts of remote images, labels. What is unknown is accepted.',
    requestBody: { required: true, content: json(PURGE) },
    responses: {
      202: {
        description: 'The purge has begun, and is finished even if this node ends. Accepted entries by list.',
        content: json({ type: 'object', properties: { accepted: { type: 'object' } } }),
      },
    },
    errors: ['invalid_purge', 'bucket_not_found', ...TOKEN_ERRORS],
    security: TOKEN,
  },
} as const
