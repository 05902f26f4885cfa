import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

/**
 * Reads the options of a command line that takes nothing but options.
 *
 * @param problems Gets what is wrong with them, one mistake an item.
 * @returns What was given, by name; without a value, an empty text.
 */
export function readFlags(
  flags: ParseArgsOptionsConfig,
  args: readonly string[],
  problems: string[],
): Map<string, string> {
  const { tokens } = parseArgs({ args: [...args], options: flags, strict: false, tokens: true })
  const given = new Map<string, string>()
  for (const token of tokens) {
    if (token.kind === 'positional') problems.push(`${token.value}: not an option`)
    if (token.kind !== 'option') continue
    const type = Object.entries(flags).find(([name]) => name === token.name)?.[1].type
    if (type === undefined) problems.push(`${token.rawName}: no such option`)
    else if (type === 'string' && !token.value) problems.push(`${token.rawName}: needs a value`)
    else if (type === 'boolean' && token.value !== undefined) problems.push(`${token.rawName}: takes no value`)
    else given.set(token.name, token.value ?? '')
  }
  return given
}
