import { type Browser, chromium } from 'playwright-core'
import type { Scope } from '../processes/scope.ts'
import { ensureChromium } from './install-servers.ts'

const BROWSER_ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Debian's Chromium, headless, until the scope ends. */
export async function launchBrowser(t: Scope): Promise<Browser> {
  const executablePath = await ensureChromium()
  const browser = await chromium.launch({ executablePath, args: BROWSER_ARGUMENTS })
  t.after(() => browser.close())
  return browser
}
