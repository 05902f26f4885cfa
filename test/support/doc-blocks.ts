import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { filesBelow } from '../../tools/requests/ask.ts'

const ROOT = new URL('../../', import.meta.url).pathname

/**
 * Fails unless each code block of a page is part of a file of an example, byte for byte, so that the page shows only code
 * that was run. Blocks of commands (`sh`) and without a language are not compared.
 *
 * @param page Path in this repository, such as `docs/recipes/django.md`.
 * @param example Folder in this repository, such as `examples/django`.
 */
export async function assertBlocksAreIn(page: string, example: string): Promise<void> {
  const text = await readFile(join(ROOT, page), 'utf8')
  const blocks = Array.from(text.matchAll(/^```(?<language>[a-z]+)\n(?<code>[^]*?)^```$/gm), ({ groups }) => ({
    language: groups?.['language'] ?? '',
    code: groups?.['code'] ?? '',
  })).filter(({ language }) => language !== 'sh')
  assert.notEqual(blocks.length, 0, `${page} has no code blocks`)
  const folder = join(ROOT, example)
  const files = await Promise.all((await filesBelow(folder)).map((file) => readFile(join(folder, file), 'utf8')))
  for (const { code } of blocks) {
    assert.ok(
      files.some((file) => `\n${file}`.includes(`\n${code}`)),
      `${page}: no file of ${example} contains this block:\n${code}`,
    )
  }
}
