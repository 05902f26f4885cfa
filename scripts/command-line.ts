import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

export type ParsedCommand<Options> =
  | { readonly kind: 'run'; readonly options: Options }
  | { readonly kind: 'help' }
  | { readonly kind: 'usage'; readonly problems: readonly string[] }

/** The options and arguments of a command line. */
export interface CommandLine {
  /** By name of the option; empty for an option without a value. */
  readonly given: ReadonlyMap<string, string>
  /** Arguments that belong to no option. */
  readonly operands: readonly string[]
}

/** How a command that changes a store or a cache reports. */
export interface ReportOptions {
  readonly dryRun: boolean
  readonly json: boolean
  readonly quiet: boolean
}

/** The options of `ReportOptions`. */
export const REPORT_FLAGS = {
  'dry-run': { type: 'boolean' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

export function readReportOptions({ given }: CommandLine): ReportOptions {
  return { dryRun: given.has('dry-run'), json: given.has('json'), quiet: given.has('quiet') }
}

export interface CommandSyntax {
  /** Without `--help`, which every command has. */
  readonly flags: ParseArgsOptionsConfig
  /** Arguments without an option are mistakes unless this is true. */
  readonly hasOperands?: boolean
}

/**
 * Parses a command line.
 *
 * @param read Reads the values of the options. It adds its errors to `problems`, and may return undefined only then.
 * @returns the options of the command, or all mistakes.
 */
export function parseCommandLine<Options>(
  args: readonly string[],
  { flags, hasOperands = false }: CommandSyntax,
  read: (line: CommandLine, problems: string[]) => Options | undefined,
): ParsedCommand<Options> {
  const problems: string[] = []
  const { given, operands } = readTokens({ ...flags, help: { type: 'boolean' } }, args, problems)
  if (given.has('help')) return { kind: 'help' }
  if (!hasOperands) problems.push(...operands.map((operand) => `${operand}: unexpected argument`))
  const options = read({ given, operands }, problems)
  return options === undefined || problems.length > 0 ? { kind: 'usage', problems } : { kind: 'run', options }
}

function readTokens(flags: ParseArgsOptionsConfig, args: readonly string[], problems: string[]): CommandLine {
  const { tokens } = parseArgs({ args: [...args], options: flags, strict: false, tokens: true })
  const given = new Map<string, string>()
  const operands: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    const type = Object.entries(flags).find(([name]) => name === token.name)?.[1].type
    if (type === undefined) problems.push(`${token.rawName}: unknown option`)
    else if (type === 'string' && !token.value) problems.push(`${token.rawName}: requires a value`)
    else if (type === 'boolean' && token.value !== undefined) problems.push(`${token.rawName}: takes no value`)
    else given.set(token.name, token.value ?? '')
  }
  return { given, operands }
}
