import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { startNodeFor } from '../../tools/servers/site.ts'

const Document = z.object({
  openapi: z.literal('3.1.0'),
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        operationId: z.string(),
        parameters: z.array(z.object({ name: z.string(), in: z.string(), example: z.string().optional() })).default([]),
      }),
    ),
  ),
})

test('Each operation of /openapi.json has a route, and the node knows no other method for its path', async (t) => {
  const { url } = await startNodeFor(t)
  const { paths } = Document.parse(await (await fetch(`${url}/openapi.json`)).json())
  assert.ok(Object.keys(paths).length > 10)
  for (const [path, operations] of Object.entries(paths)) {
    const parameters = Object.values(operations).flatMap((operation) => operation.parameters)
    const example = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const found = parameters.find((parameter) => parameter.in === 'path' && parameter.name === name)
      assert.ok(found?.example !== undefined, `${path}: ${name} should have an example`)
      return found.example
    })
    for (const method of ['GET', 'POST', 'DELETE', 'PUT']) {
      const { status, body } = await rawRequest(url, example, { method })
      const { error } = status >= 400 && method !== 'GET' ? jsonFields(body) : {}
      assert.notEqual(error, 'route_not_found', `${method} ${example}`)
      assert.equal(status !== 405, method.toLowerCase() in operations, `${method} ${example}: ${status}`)
    }
  }
})
