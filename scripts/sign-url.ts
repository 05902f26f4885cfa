import { parseArgs } from 'node:util'
import { formatSignature, signPath } from '../src/domain/access/signature.ts'
import { formatPictureUrl, parsePictureUrl, signedPath } from '../src/domain/url/picture-url.ts'
import { RequestError } from '../src/errors.ts'

const USAGE = `Usage: scripts/sign-url [--expires-in <seconds>] <URL> ...

Signs image URLs for a node with SIZE_POLICY=signed and prints them, one per line. A URL may have any valid spelling
and may begin with PUBLIC_URL; the output is canonical. The signature does not cover the file name: it is also valid
for another name and for none, as in 400w.webp.

  --expires-in <seconds>   lifetime of the signatures; default: unlimited
  --help                   print this help

Environment: URL_KEYS, as on the node (the first key signs); PUBLIC_URL, the prefix of the output.

Example: URL_KEYS=... scripts/sign-url --expires-in 3600 /image/3f2a.../400w/cat.webp /s3/photos/cat.jpg/-/400w

Exit code: 0 success; 1 a URL cannot be signed; 2 invalid options or settings.
`

const EXIT = { done: 0, failed: 1, usage: 2 } as const

interface SignCommand {
  readonly paths: readonly string[]
  readonly key: string
  readonly publicUrl: string
  /** Seconds since 1970. */
  readonly expires?: number
}

function main(): number {
  const command = readCommand(process.argv.slice(2))
  if (command === 'help') {
    process.stdout.write(USAGE)
    return EXIT.done
  }
  if (Array.isArray(command)) {
    for (const problem of command) complain(problem)
    complain('--help lists the options')
    return EXIT.usage
  }
  return sign(command) ? EXIT.done : EXIT.failed
}

/** @returns the command, or all mistakes. */
function readCommand(args: readonly string[]): SignCommand | 'help' | string[] {
  const problems: string[] = []
  const { tokens } = parseArgs({ args: [...args], options: FLAGS, strict: false, allowPositionals: true, tokens: true })
  const paths: string[] = []
  let expiresIn: number | undefined
  for (const token of tokens) {
    if (token.kind === 'positional') paths.push(token.value)
    if (token.kind !== 'option') continue
    if (token.name === 'help') return 'help'
    if (token.name === 'expires-in') expiresIn = readSeconds(token.value, problems)
    else problems.push(`${token.rawName}: unknown option`)
  }
  const [key] = (process.env['URL_KEYS'] ?? '').split(/\s+/).filter((item) => item !== '')
  const publicUrl = (process.env['PUBLIC_URL'] ?? '').replace(/\/+$/, '')
  if (key === undefined) problems.push('URL_KEYS: is required, with the keys of the node; the first one signs')
  else if (key.length < 16) problems.push('URL_KEYS: each key should have at least 16 characters, as on the node')
  if (paths.length === 0) problems.push('a URL is required, such as /image/3f2a.../400w')
  if (problems.length > 0 || key === undefined) return problems
  const now = Math.floor(Date.now() / 1000)
  return { paths, key, publicUrl, ...(expiresIn !== undefined && { expires: now + expiresIn }) }
}

const FLAGS = { 'expires-in': { type: 'string' }, help: { type: 'boolean' } } as const

function readSeconds(text: string | undefined, problems: string[]): number | undefined {
  if (/^[1-9]\d{0,9}$/.test(text ?? '')) return Number(text)
  problems.push(`--expires-in: "${text ?? ''}" is not a whole number of seconds, at least 1`)
  return undefined
}

/** Prints the signed URLs. @returns false if a URL cannot be signed. */
function sign({ paths, key, publicUrl, expires }: SignCommand): boolean {
  let allSigned = true
  for (const given of paths) {
    try {
      const path = publicUrl !== '' && given.startsWith(`${publicUrl}/`) ? given.slice(publicUrl.length) : given
      const request = parsePictureUrl(path)
      const query = formatSignature(signPath(signedPath(request), key, expires))
      const url = formatPictureUrl(request)
      process.stdout.write(`${publicUrl}${url}${url.includes('?') ? '&' : '?'}${query}\n`)
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      complain(`${given}: ${error.message}`)
      allSigned = false
    }
  }
  return allSigned
}

function complain(message: string): void {
  process.stderr.write(`sign-url: ${message}\n`)
}

process.exitCode = main()
