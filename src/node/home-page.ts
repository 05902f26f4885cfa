import { readFileSync } from 'node:fs'
import type { Config } from '../config/env.ts'
import { sizePolicy } from '../config/size-policy.ts'
import type { WriteAccess } from '../domain/access/write-access.ts'
import { formatSpec } from '../domain/spec/spec.ts'
import { type HomePage, joinHomePage } from '../http/api/home-page.ts'

/** In the order of their imports. */
const SCRIPTS = [
  'dom.js',
  'server.js',
  'token-dialog.js',
  'uploads.js',
  'spec.js',
  'renditions.js',
  'compare.js',
  'code.js',
  'placeholders.js',
  'record.js',
  'page.js',
] as const

/** Reads the page and its icon. */
export function readHomePage(config: Config, { tokens }: WriteAccess): HomePage {
  const icon = read('icon.svg')
  if (!config.HOME_PAGE) return { html: '', icon }
  const policy = sizePolicy(config)
  const facts = {
    canUpload: tokens.length > 0,
    maxUploadBytes: config.MAX_UPLOAD_BYTES,
    maxMegapixels: config.MAX_PIXELS / 1_000_000,
    maxSide: config.MAX_SIDE,
    formats: config.INPUT_FORMATS,
    policy: policy.kind,
    sizes: config.SIZES.map(formatSpec),
    steps: policy.kind === 'steps' ? policy.steps.sides : [],
  }
  return {
    html: joinHomePage({ html: read('page.html'), css: read('page.css'), scripts: SCRIPTS.map(read), facts }),
    icon,
  }
}

function read(name: string): string {
  return readFileSync(new URL(`../http/home-page/${name}`, import.meta.url), 'utf8')
}
