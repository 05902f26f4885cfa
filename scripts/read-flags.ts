import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

/**
 * Parses a command line that has options only.
 *
 * @param problems Receives the mistakes.
 * @returns the values by name of the option; empty for an option without a value.
 */
export function readFlags(
  flags: ParseArgsOptionsConfig,
  args: readonly string[],
  problems: string[],
): Map<string, string> {
  const { tokens } = parseArgs({ args: [...args], options: flags, strict: false, tokens: true })
  const given = new Map<string, string>()
  for (const token of tokens) {
    if (token.kind === 'positional') problems.push(`${token.value}: unexpected argument`)
    if (token.kind !== 'option') continue
    const type = Object.entries(flags).find(([name]) => name === token.name)?.[1].type
    if (type === undefined) problems.push(`${token.rawName}: unknown option`)
    else if (type === 'string' && !token.value) problems.push(`${token.rawName}: requires a value`)
    else if (type === 'boolean' && token.value !== undefined) problems.push(`${token.rawName}: takes no value`)
    else given.set(token.name, token.value ?? '')
  }
  return given
}
