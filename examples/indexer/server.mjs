import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'
import { searchPage } from './page.mjs'

const PAGE_SIZE = 60
const MAX_PAGE = 1000
const MAX_BODY_BYTES = 16 * 1024 * 1024
const STYLE = readFileSync(new URL('page.css', import.meta.url))

/** Serves the search as a page (`/`) and as JSON (`/search`), and receives webhooks (`POST /events`) if there are secrets. */
export async function serve({ index, publicUrl, webhookSecrets, host, port }) {
  const webhooks = webhookSecrets.map((secret) => new Webhook(secret))
  const security = {
    'Content-Security-Policy': `default-src 'none'; style-src 'self'; img-src ${new URL(publicUrl).origin}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  }

  const server = createServer((request, response) => {
    const answer = (status, type, body) => response.writeHead(status, { 'Content-Type': type, ...security }).end(body)
    const respond = async () => {
      const { pathname, searchParams } = new URL(request.url, 'http://localhost')
      if (pathname === '/events' && webhooks.length > 0) return answer(await receive(request), 'text/plain', '')
      if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'text/plain', 'Method not allowed\n')
      if (pathname === '/page.css') return answer(200, 'text/css', STYLE)
      if (pathname === '/stats') return answer(200, 'application/json', JSON.stringify(index.stats()))
      if (pathname !== '/' && pathname !== '/search') return answer(404, 'text/plain', 'Not found\n')
      const result = find(searchParams)
      if (pathname === '/search') return answer(200, 'application/json', JSON.stringify(result))
      answer(200, 'text/html; charset=utf-8', searchPage(result, index.stats()))
    }
    respond().catch((error) => {
      console.error(`indexer: ${error.message}`)
      answer(500, 'text/plain', 'Internal error\n')
    })
  })

  function find(query) {
    const text = query.get('q') ?? ''
    const page = Math.min(MAX_PAGE, Math.max(1, Number.parseInt(query.get('page') ?? '1', 10) || 1))
    // One more tells whether there is a next page.
    const found = index.search(text, { limit: PAGE_SIZE + 1, offset: (page - 1) * PAGE_SIZE })
    const images = found.slice(0, PAGE_SIZE).map((image) => ({ ...image, ...absoluteUrls(image, publicUrl) }))
    return { query: text, page, hasMore: found.length > PAGE_SIZE, images }
  }

  /** @returns a status. Darkroom repeats a message whose answer is not 2xx. */
  async function receive(request) {
    if (request.method !== 'POST') return 405
    const body = await bodyOf(request)
    if (body === undefined) return 413
    if (!webhooks.some((webhook) => isAuthentic(webhook, body, request.headers))) return 401
    index.apply(JSON.parse(body))
    return 204
  }

  server.listen(port, host)
  await once(server, 'listening')
  return server
}

function isAuthentic(webhook, body, headers) {
  try {
    webhook.verify(body, headers)
    return true
  } catch {
    return false
  }
}

async function bodyOf(request) {
  const chunks = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Darkroom's URLs begin with a slash unless its PUBLIC_URL is set. Until the details are known, a size of our own choice. */
function absoluteUrls({ id, src, srcset }, base) {
  const absolute = (url) => new URL(url, base).href
  const candidates = (srcset ?? '').split(', ').filter(Boolean).map((candidate) => candidate.split(' '))
  return {
    src: absolute(src ?? `/image/${id}/400w`),
    srcset: candidates.map(([url, width]) => `${absolute(url)} ${width}`).join(', '),
  }
}
