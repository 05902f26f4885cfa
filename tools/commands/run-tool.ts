import { AssertionError } from 'node:assert'
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

type Values<Options extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: Options }>>['values']

export interface Tool<Options extends ParseArgsOptionsConfig> {
  /** As in `npm run <name>`. */
  readonly name: string
  readonly usage: string
  /** Without `--help`, which every tool has. */
  readonly options: Options
  /** Whether words beside the options are accepted. */
  readonly hasOperands?: boolean
  /** @returns the exit code. */
  readonly run: (values: Values<Options>, operands: readonly string[]) => Promise<number>
}

/** Runs a developer tool with the arguments of this process and sets the exit code; 2 if the tool cannot do its work. */
export async function runTool<const Options extends ParseArgsOptionsConfig>(tool: Tool<Options>): Promise<void> {
  if (process.argv.includes('--help')) {
    process.stdout.write(tool.usage)
    return
  }
  try {
    const { values, positionals } = parseArgs<{ options: Options; allowPositionals: boolean }>({
      options: tool.options,
      allowPositionals: tool.hasOperands ?? false,
    })
    process.exitCode = await tool.run(values, positionals)
  } catch (error) {
    process.stderr.write(`npm run ${tool.name}: ${describe(error)}\n`)
    process.exitCode = 2
  }
}

/** With the stack of a failed assertion: it says which promise was broken. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return (error instanceof AssertionError ? error.stack : undefined) ?? error.message
}

/** Prints a line on standard output. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
