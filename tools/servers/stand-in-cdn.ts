import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import type { Scope } from '../processes/scope.ts'

const CDN_TOKEN = 'token-of-the-stand-in-cdn'
const CDN_SERVICE = 'SU1Z0isxPaozGVKXdv0eY'
const CDN_ZONE = '023e105f4ecef8ad9ca31a8372d0c353'

/** The purge APIs of Fastly and Cloudflare: path, token, body and maximum tags of a call are checked as documented. */
export interface StandInCdn {
  /** Base of both APIs. */
  readonly url: string
  /** `down` refuses connections; `silent` never answers; `429` has `Retry-After: 2`. */
  set(state: CdnState): Promise<void>
  /** Valid calls, whatever their answer. */
  readonly calls: number
  /** What was wrong with a call. */
  readonly mistakes: readonly string[]
  /** Times of the accepted purges of a tag, of `performance.now()`. */
  purgesOf(tag: string): readonly number[]
}

export type CdnState = 'up' | 'down' | 'silent' | '503' | '429'

const Fastly = z.strictObject({ surrogate_keys: z.array(z.string()).min(1).max(256) })
const Cloudflare = z.strictObject({ tags: z.array(z.string()).min(1).max(100) })
const TAG = /^r?[0-9a-f]{40}$/
const RETRY_AFTER_SECONDS = 2

/** @throws the mistake of the caller. */
function tagsOf({ method, url, headers }: IncomingMessage, body: string): readonly string[] {
  assert.equal(method, 'POST')
  assert.equal(headers['content-type'], 'application/json')
  const isFastly = url === `/service/${CDN_SERVICE}/purge`
  if (!isFastly) assert.equal(url, `/client/v4/zones/${CDN_ZONE}/purge_cache`)
  if (isFastly) assert.equal(headers['fastly-key'], CDN_TOKEN)
  else assert.equal(headers.authorization, `Bearer ${CDN_TOKEN}`)
  const json: unknown = JSON.parse(body)
  const tags = isFastly ? Fastly.parse(json).surrogate_keys : Cloudflare.parse(json).tags
  for (const tag of tags) assert.match(tag, TAG)
  assert.equal(new Set(tags).size, tags.length)
  return tags
}

export async function startStandInCdn(scope: Scope): Promise<StandInCdn> {
  const purges = new Map<string, number[]>()
  const mistakes: string[] = []
  let calls = 0
  let state: CdnState = 'up'
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      try {
        const tags = tagsOf(request, body)
        calls += 1
        if (state === 'silent') return
        if (state === '503') return void response.writeHead(503).end()
        if (state === '429') return void response.writeHead(429, { 'Retry-After': RETRY_AFTER_SECONDS }).end()
        for (const tag of tags) purges.set(tag, [...(purges.get(tag) ?? []), performance.now()])
        response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"status":"ok","success":true}')
      } catch (error) {
        mistakes.push(error instanceof Error ? error.message : String(error))
        response.writeHead(400).end()
      }
    })
  })
  const open = async (port: number) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    return address.port
  }
  const shut = () => {
    server.closeAllConnections()
    server.close()
  }
  const port = await open(0)
  scope.after(shut)
  return {
    url: `http://127.0.0.1:${port}`,
    async set(next) {
      state = next
      if (next === 'down') shut()
      else if (!server.listening) await open(port)
    },
    get calls() {
      return calls
    },
    mistakes,
    purgesOf: (tag) => purges.get(tag) ?? [],
  }
}

/** Content of SINKS_FILE with both kinds, and its environment. */
export function cdnSinks(url: string) {
  const yaml = `sinks:
  fastly:
    kind: fastly
    url: ${url}
    service: ${CDN_SERVICE}
    token: $CDN_TOKEN
  cloudflare:
    kind: cloudflare
    url: ${url}/
    zone: ${CDN_ZONE}
    token: $CDN_TOKEN
`
  return { yaml, env: { CDN_TOKEN, SINK_ALLOW_ADDRESSES: '127.0.0.1' } }
}
