import { readFileSync } from 'node:fs'
import type { Config } from '../config/env.ts'
import type { HomePage } from '../http/api/home-page.ts'

/** Reads the page and its icon. */
export function readHomePage({ HOME_PAGE }: Config): HomePage {
  return { html: HOME_PAGE ? read('page.html') : '', icon: read('icon.svg') }
}

function read(name: string): string {
  return readFileSync(new URL(`../http/home-page/${name}`, import.meta.url), 'utf8')
}
