import type { Middleware } from 'koa'
import type { ErrorCode } from '../../errors.ts'
import { answerJson, ERROR_STATUS, SERVER_ERRORS } from '../answer/error-response.ts'
import { OPERATIONS, type Operation, type OperationName } from './openapi-operations.ts'
import { json } from './openapi-schemas.ts'

/** `GET /openapi.json` @param names Operations of the routes. @param publicUrl What URLs begin with; empty: a slash. */
export function openApiHandler(names: readonly OperationName[], publicUrl: string): Middleware {
  const document = openApiDocument(names, publicUrl)
  return (ctx) => answerJson(ctx, document, { 'Cache-Control': 'no-cache', 'Access-Control-Allow-Origin': '*' })
}

/** Version of the API, not of the software: it goes up when a client has to change. */
const API_VERSION = '1.0.0'

function openApiDocument(names: readonly OperationName[], publicUrl: string) {
  const paths: Record<string, Record<string, object>> = {}
  for (const name of names) {
    const { method, path, errors, responses, ...rest }: Operation = OPERATIONS[name]
    const described = { operationId: name, ...rest, responses: { ...errorResponses(errors), ...responses } }
    paths[path] = { ...paths[path], [method]: described }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Darkroom',
      version: API_VERSION,
      description: 'Stores original images and serves them at any size by URL.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: publicUrl === '' ? '/' : publicUrl }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'One of UPLOAD_TOKENS.' },
        eventToken: { type: 'http', scheme: 'bearer', description: 'One of EVENT_TOKENS.' },
      },
    },
  }
}

const ALWAYS = ['client_too_slow', 'store_unavailable', 'disk_unavailable', 'overloaded', 'timed_out'] as const
/** Statuses of the HTTP server itself. */
const SERVER_STATUSES = [400, 404, 414, 431, 500] as const

function errorResponses(codes: readonly ErrorCode[]): Record<number, object> {
  const byStatus = new Map<number, Set<string>>()
  const add = (status: number, code: string) => byStatus.set(status, (byStatus.get(status) ?? new Set()).add(code))
  for (const code of [...codes, ...ALWAYS]) add(ERROR_STATUS[code], code)
  for (const status of SERVER_STATUSES) add(status, SERVER_ERRORS[status].code)
  return Object.fromEntries([...byStatus].map(([status, known]) => [status, errorOf([...known])]))
}

function errorOf(codes: readonly string[]) {
  const properties = { error: { enum: codes }, message: { type: 'string' } }
  return {
    description: codes.join(', '),
    content: json({ type: 'object', required: ['error', 'message'], properties }),
  }
}
