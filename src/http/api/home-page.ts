import { createHash } from 'node:crypto'
import type { Middleware } from 'koa'
import { RequestError } from '../../errors.ts'
import { SERVER_ERRORS } from '../answer/error-response.ts'

/** `GET /` and its icon. */
export interface HomePage {
  /** The page, with at most one `<script type="module">` and one `<style>`. Empty: the page is disabled. */
  readonly html: string
  /** SVG. */
  readonly icon: string
}

/**
 * `GET /`: one page without requests to other hosts. Its inline script and style are allowed by their hashes, and
 * nothing else is.
 * @throws RequestError `route_not_found` if the page is disabled.
 */
export function homeHandler({ html }: HomePage): Middleware {
  const policy = [
    "default-src 'none'",
    "img-src 'self' blob: data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    ...inlineSources(html, 'script'),
    ...inlineSources(html, 'style'),
  ].join('; ')
  return (ctx) => {
    if (html === '')
      throw new RequestError('route_not_found', `${SERVER_ERRORS[404].message}: the page is off (HOME_PAGE)`)
    ctx.set({ 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-cache' })
    ctx.type = 'html'
    ctx.body = html
  }
}

function inlineSources(html: string, tag: 'script' | 'style'): string[] {
  const content = new RegExp(`<${tag}(?: type="module")?>([\\s\\S]*?)</${tag}>`).exec(html)?.[1]
  return content === undefined ? [] : [`${tag}-src 'sha256-${createHash('sha256').update(content).digest('base64')}'`]
}
