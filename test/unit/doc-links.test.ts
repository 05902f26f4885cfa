import assert from 'node:assert/strict'
import { access, glob, readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'

const ROOT = resolve(import.meta.dirname, '../..')
const EXTERNAL = /^[a-z]+:/

test('Each link of the documentation names a file that exists, and a heading of it', async () => {
  const pages: string[] = []
  for await (const page of glob(['*.md', 'docs/**/*.md', 'examples/**/*.md', 'test/fixtures/*.md'], { cwd: ROOT })) {
    if (!page.includes('node_modules')) pages.push(page)
  }
  assert.ok(pages.length > 30, pages.join())
  const broken: string[] = []
  for (const page of pages) {
    for (const target of linksOf(await readFile(join(ROOT, page), 'utf8'))) {
      const [path = '', heading] = target.split('#')
      const file = path === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), path)
      if (!(await isLinkTarget(file, heading))) broken.push(`${page}: ${target}`)
    }
  }
  assert.deepEqual(broken, [])
})

/** Targets of the links and images outside of code, without those of other sites. */
function linksOf(text: string): readonly string[] {
  const prose = text.replaceAll(/^ *```[^]*?^ *```$/gm, '').replaceAll(/`[^`\n]*`/g, '')
  return Array.from(prose.matchAll(/\]\((?<target>[^)\s]+)\)/g), ({ groups }) => groups?.['target'] ?? '').filter(
    (target) => !EXTERNAL.test(target),
  )
}

async function isLinkTarget(file: string, heading: string | undefined): Promise<boolean> {
  try {
    if (heading === undefined) {
      await access(file)
      return true
    }
    const headings = (await readFile(file, 'utf8')).matchAll(/^#{1,6} (?<title>.+)$/gm)
    return Array.from(headings, ({ groups }) => anchorOf(groups?.['title'] ?? '')).includes(heading)
  } catch {
    return false
  }
}

/** As GitHub makes the anchor of a heading. */
function anchorOf(title: string): string {
  return title
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}
