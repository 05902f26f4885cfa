/**
 * `npm run audit`: what is known against the packages that the service is made of, and whether they keep to our own rules.
 *
 * A registry without that service can't be asked. Then this says so, and only the rules are checked; with `--strict` it fails.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { ruleBreaches } from './dependency-rules.ts'

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
  // The address is the machine's matter.
  const why = Failure.safeParse(said).data?.message.replace(/ - .*| https?:.*/, '') ?? 'npm audit failed'
  return { kind: 'unasked', why }
}

const { values } = parseArgs({ options: { strict: { type: 'boolean', default: false } } })
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
    `NOT ASKED: the registry of this machine answers no audit (${known.why}). Whether anything is known against the packages\n` +
      'was not found out; run this where the registry can be asked before a release.\n',
  )
}
process.stdout.write(`Our own rules for packages: ${breaches.length === 0 ? 'kept' : `${breaches.length} breaches`}\n`)
const isClean = breaches.length === 0 && (known.kind === 'asked' ? known.lines.length === 0 : !values.strict)
process.exitCode = isClean ? 0 : 1
