// The body of `npm run audit`: known vulnerabilities of the packages of the service, and our own rules for packages.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { ruleBreaches } from './checks/dependency-rules.ts'

const USAGE = `Usage: npm run audit [-- --strict]

Looks up known vulnerabilities of the packages that are part of the service (npm audit), and checks our own rules for
packages: exact versions, SHA-512 checksums, allowed licences, no installation scripts.

  --strict  fail if the registry does not support audits; default: print NOT ASKED and check the rules only
  --help    print this help

Exit code: 0 no vulnerabilities, and the rules are kept; 1 otherwise.
`

const Audit = z.object({
  metadata: z.object({ vulnerabilities: z.object({ total: z.number() }) }),
  vulnerabilities: z.record(z.string(), z.object({ severity: z.string(), range: z.string() })),
})
const Failure = z.object({ message: z.string() })

type Known =
  | { readonly kind: 'asked'; readonly lines: readonly string[] }
  | { readonly kind: 'unasked'; readonly why: string }

async function askRegistry(): Promise<Known> {
  const child = spawn('npm', ['audit', '--omit=dev', '--json'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = once(child, 'close')
  const said: unknown = JSON.parse((await text(child.stdout)) || '{}')
  await ended
  const { data } = Audit.safeParse(said)
  if (data) {
    const found = Object.entries(data.vulnerabilities)
    return { kind: 'asked', lines: found.map(([name, { severity, range }]) => `${name} ${range}: ${severity}`) }
  }
  // The address of the registry is private to the machine.
  const why = Failure.safeParse(said).data?.message.replace(/ - .*| https?:.*/, '') ?? 'npm audit failed'
  return { kind: 'unasked', why }
}

/** @returns The exit code. */
async function audit(strict: boolean): Promise<number> {
  const read = async (name: string): Promise<unknown> =>
    JSON.parse(await readFile(new URL(`../${name}`, import.meta.url), 'utf8'))
  const breaches = ruleBreaches(await read('package.json'), await read('package-lock.json'))
  for (const breach of breaches) process.stdout.write(`${breach}\n`)
  const known = await askRegistry()
  if (known.kind === 'asked') {
    for (const line of known.lines) process.stdout.write(`${line}\n`)
    process.stdout.write(`npm audit --omit=dev: ${known.lines.length} known vulnerabilities\n`)
  } else {
    process.stdout.write(
      `NOT ASKED: the registry of this machine does not support audits (${known.why}). Vulnerabilities of the packages are\n` +
        'unknown; run this command with another registry before a release.\n',
    )
  }
  process.stdout.write(
    `Our own rules for packages: ${breaches.length === 0 ? 'kept' : `${breaches.length} breaches`}\n`,
  )
  const isClean = breaches.length === 0 && (known.kind === 'asked' ? known.lines.length === 0 : !strict)
  return isClean ? 0 : 1
}

const { values } = parseArgs({
  options: { strict: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
})
if (values.help) process.stdout.write(USAGE)
else process.exitCode = await audit(values.strict)
