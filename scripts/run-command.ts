import type { ParsedCommand } from './command-line.ts'
import { clearProgress } from './progress.ts'

/** Exit codes that all commands have in common. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const

/** Prints a line on standard error, with the name of the command in front. */
export type Complain = (message: string) => void

export interface Failure {
  /** For programs: the value of `error` with `--json`. */
  readonly reason: string
  readonly exitCode: number
  /** Called when the failure has been printed. */
  readonly end?: () => void
}

export interface Command<Options> {
  readonly name: string
  readonly usage: string
  readonly parse: (args: readonly string[]) => ParsedCommand<Options>
  /** @returns the exit code. */
  readonly run: (options: Options, complain: Complain) => number | Promise<number>
  /** Failures with another reason or exit code than 'failed' and 1. */
  readonly explain?: (error: unknown) => Failure | undefined
  /** Whether a failure, too, is printed as a line of JSON on standard output. */
  readonly failsInJson?: (options: Options) => boolean
}

/** Runs a command with the arguments of this process, and sets the exit code. */
export async function runCommand<Options>(command: Command<Options>): Promise<void> {
  process.exitCode = await exitCodeOf(command, process.argv.slice(2))
}

async function exitCodeOf<Options>(command: Command<Options>, args: readonly string[]): Promise<number> {
  const complain = (message: string): void => {
    clearProgress()
    process.stderr.write(`${command.name}: ${message}\n`)
  }
  const parsed = command.parse(args)
  if (parsed.kind === 'help') {
    process.stdout.write(command.usage)
    return EXIT.done
  }
  if (parsed.kind === 'usage') {
    for (const problem of parsed.problems) complain(problem)
    complain('--help lists the options')
    return EXIT.usage
  }
  try {
    return await command.run(parsed.options, complain)
  } catch (error) {
    const { reason, exitCode, end }: Failure = command.explain?.(error) ?? { reason: 'failed', exitCode: EXIT.failed }
    const message = error instanceof Error ? error.message : String(error)
    if (command.failsInJson?.(parsed.options)) process.stdout.write(`${JSON.stringify({ error: reason, message })}\n`)
    complain(message)
    end?.()
    return exitCode
  }
}
