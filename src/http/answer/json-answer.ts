import { createHash } from 'node:crypto'
import type { Context } from 'koa'

/** Of every answer that is no picture, no page and no error. */
export const API_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; sandbox",
} as const

/** Answers JSON with an ETag of its own bytes, or `304` if the client has them. */
export function answerJson(ctx: Context, value: unknown, headers: Readonly<Record<string, string>>): void {
  const body = JSON.stringify(value)
  ctx.set({ ...API_HEADERS, ...headers, ETag: `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"` })
  ctx.status = 200
  if (ctx.fresh) {
    ctx.status = 304
    return
  }
  ctx.type = 'application/json'
  ctx.body = body
}
