import { createHash } from 'node:crypto'
import type { Middleware } from 'koa'
import { formatByteAmount } from '../../domain/text/byte-amount.ts'
import { RequestError } from '../../errors.ts'
import { SERVER_ERRORS } from '../answer/error-response.ts'

/** `GET /` and its icon. */
export interface HomePage {
  /** The page, with at most one `<script type="module">` and one `<style>`. Empty: the page is disabled. */
  readonly html: string
  /** SVG. */
  readonly icon: string
}

/** Facts of the node that everyone may know. */
export interface PageFacts {
  /** False: the node has no tokens. */
  readonly canUpload: boolean
  readonly maxUploadBytes: number
  readonly maxMegapixels: number
  /** Of a rendition, pixels. */
  readonly maxSide: number
  /** Of originals. */
  readonly formats: readonly string[]
  readonly policy: 'open' | 'list' | 'steps' | 'signed'
  /** With the policies `list` and `steps`. */
  readonly sizes: readonly string[]
  /** Widths and heights that are served with the policy `steps`, ascending; else empty. */
  readonly steps: readonly number[]
}

export interface PageSources {
  /** With a place for each of the others. */
  readonly html: string
  readonly css: string
  /** ES modules in the order of their imports, whose names are unique together: they become one. */
  readonly scripts: readonly string[]
  readonly facts: PageFacts
}

/** Joins the files of the page, so that it loads with one request and its policy allows two hashes only. */
export function joinHomePage({ html, css, scripts, facts }: PageSources): string {
  const script = scripts
    .join('')
    .replaceAll(/^import .*\n/gm, '')
    .replaceAll(/^export (?=\w)/gm, '')
  const parts = {
    'data-policy="open" data-uploads="true"': `data-policy="${facts.policy}" data-uploads="${facts.canUpload}"`,
    '{limits}': limitsText(facts),
    '/* page.css */': css,
    '>{}<': `>${JSON.stringify(facts).replaceAll('<', String.raw`\u003c`)}<`,
    '/* scripts */': script,
  }
  return Object.entries(parts).reduce((page, [place, content]) => page.replace(place, () => content), html)
}

/** In the page from the start: a text that is added after the first paint would move its neighbours. */
function limitsText({ formats, maxUploadBytes, maxMegapixels }: PageFacts): string {
  return `${formats.join(', ')}; up to ${formatByteAmount(maxUploadBytes)} and ${maxMegapixels} megapixels each`
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
