import { json } from './openapi-schemas.ts'

const TEXT_STATUS = { type: 'object', required: ['status'], properties: { status: { type: 'string' } } } as const
const READINESS = {
  type: 'object',
  required: ['status', 'reasons'],
  properties: {
    status: { enum: ['ready', 'degraded', 'not ready'] },
    reasons: { type: 'array', items: { type: 'string' } },
    notes: { type: 'array', items: { type: 'string' } },
  },
} as const
const text = (type: string) => ({ [type]: { schema: { type: 'string' } } })

/** Operations on the node itself instead of an image. */
export const NODE_OPERATIONS = {
  home: {
    method: 'get',
    path: '/',
    summary: 'A page to try uploads and sizes (absent with HOME_PAGE=false)',
    responses: { 200: { description: 'The page.', content: text('text/html') } },
    errors: [],
  },
  robots: {
    method: 'get',
    path: '/robots.txt',
    summary: 'Rules for crawlers (RFC 9309): images may be crawled, records and the API may not',
    responses: { 200: { description: 'The rules.', content: text('text/plain') } },
    errors: [],
  },
  favicon: {
    method: 'get',
    path: '/favicon.ico',
    summary: 'The icon of the page',
    responses: { 200: { description: 'The icon.', content: text('image/svg+xml') } },
    errors: [],
  },
  live: {
    method: 'get',
    path: '/healthz',
    summary: 'Liveness of the process',
    responses: { 200: { description: 'The process is alive.', content: json(TEXT_STATUS) } },
    errors: [],
  },
  ready: {
    method: 'get',
    path: '/readyz',
    summary: 'Readiness of the node',
    responses: {
      200: { description: 'Ready, or degraded for the reasons given.', content: json(READINESS) },
      503: { description: 'Not ready.', content: json(READINESS) },
    },
    errors: [],
  },
  metrics: {
    method: 'get',
    path: '/metrics',
    summary: 'Metrics in the text format of Prometheus',
    responses: { 200: { description: 'The metrics.', content: text('text/plain') } },
    errors: [],
  },
  openApi: {
    method: 'get',
    path: '/openapi.json',
    summary: 'This description',
    responses: {
      200: { description: 'OpenAPI 3.1.', content: json({ type: 'object' }) },
      304: { description: 'The copy of the client is current.' },
    },
    errors: [],
  },
} as const
