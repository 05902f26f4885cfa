import { createHash } from 'node:crypto'
import type { Middleware } from 'koa'

/**
 * `GET /`: one plain page. Its inline script and style are allowed by their hashes, and nothing else is.
 * @param html The page, with one `<script>` and one `<style>` at most.
 * @param publicUrl What URLs of pictures begin with; empty: a slash.
 */
export function homeHandler(html: string, publicUrl: string): Middleware {
  const policy = [
    "default-src 'none'",
    `img-src 'self' data:${publicUrl === '' ? '' : ` ${new URL(publicUrl).origin}`}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    ...inlineSources(html, 'script'),
    ...inlineSources(html, 'style'),
  ].join('; ')
  return (ctx) => {
    ctx.set({ 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-cache' })
    ctx.type = 'html'
    ctx.body = html
  }
}

function inlineSources(html: string, tag: 'script' | 'style'): string[] {
  const content = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(html)?.[1]
  return content === undefined ? [] : [`${tag}-src 'sha256-${createHash('sha256').update(content).digest('base64')}'`]
}
