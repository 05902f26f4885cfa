import { readFile } from 'node:fs/promises'

/**
 * The commands of a page under one heading, a block each, without the indentation of a list.
 *
 * @param page Path in this repository, such as `README.md`.
 * @throws Error if there is no such heading.
 */
export async function docCommands(page: string, heading: string): Promise<readonly string[]> {
  const text = await readFile(new URL(`../../${page}`, import.meta.url), 'utf8')
  const section = text.split(/^## /m).find((each) => each.startsWith(`${heading}\n`))
  if (section === undefined) throw new Error(`${page} has no heading "${heading}"`)
  const blocks = section.matchAll(/^(?<indent> *)```sh\n(?<commands>[^]*?)^ *```$/gm)
  return Array.from(blocks, ({ groups }) => {
    const { indent = '', commands = '' } = { ...groups }
    return commands.replaceAll(new RegExp(`^${indent}`, 'gm'), '')
  })
}
