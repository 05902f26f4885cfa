import { json, TOKEN, TOKEN_ERRORS } from './openapi-schemas.ts'

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
const FIGURES = {
  type: 'object',
  description: 'Figures by kind; each name ends with its unit.',
  additionalProperties: { type: 'number' },
} as const
const NODE = {
  type: 'object',
  required: ['name', 'version', 'state', 'capacity', 'time', 'lag', 'load', 'ageSeconds', 'clockSeconds'],
  properties: {
    name: { type: 'string' },
    address: { type: 'string', description: 'Absent: NODE_ADDRESS is not set.' },
    version: { type: 'string' },
    state: { enum: ['ready', 'not-ready', 'draining'] },
    capacity: { type: 'integer', description: 'Renders at the same time.' },
    time: { type: 'string', format: 'date-time', description: 'Of the last renewal, by the clock of the node.' },
    lag: FIGURES,
    load: FIGURES,
    ageSeconds: { type: 'number', description: 'Since the last renewal, by the clock of the store.' },
    clockSeconds: { type: 'number', description: 'The clock of the node is ahead of that of the store.' },
  },
} as const
const NODES = {
  type: 'object',
  required: ['nodes', 'warnings'],
  properties: { nodes: { type: 'array', items: NODE }, warnings: { type: 'array', items: { type: 'string' } } },
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
  nodes: {
    method: 'get',
    path: '/nodes',
    summary: 'The nodes of the store, with warnings',
    responses: { 200: { description: 'The registered nodes.', content: json(NODES) } },
    errors: [...TOKEN_ERRORS],
    security: TOKEN,
  },
  hint: {
    method: 'post',
    path: '/peers/hint',
    summary: 'Between nodes: look for deletions at once',
    responses: { 204: { description: 'The node looks within 50 ms.' } },
    errors: ['peer_not_allowed'],
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
