import { formatSignature, signPath } from '../src/domain/access/signature.ts'
import { formatPictureUrl, parsePictureUrl, signedPath } from '../src/domain/url/picture-url.ts'
import { RequestError } from '../src/errors.ts'
import { type CommandLine, parseCommandLine } from './command-line.ts'
import { type Complain, EXIT, runCommand } from './run-command.ts'

const USAGE = `Usage: scripts/sign-url [--expires-in <seconds>] <URL> ...

Signs image URLs for a node with SIZE_POLICY=signed and prints them, one per line. A URL may have any valid spelling
and may begin with PUBLIC_URL; the output is canonical. The signature does not cover the file name: it is also valid
for another name and for none, as in 400w.webp. docs/signing.md describes the algorithm; examples/signing contains
functions for applications.

  --expires-in <seconds>   lifetime of the signatures; default: unlimited
  --help                   print this help

Environment: URL_KEYS, as on the node (the first key signs); PUBLIC_URL, the prefix of the output.

Example: URL_KEYS=... scripts/sign-url --expires-in 3600 /image/3f2a.../400w/cat.webp /s3/photos/cat.jpg/-/400w

Exit code: 0 success; 1 a URL cannot be signed; 2 invalid options or settings.
`

const FLAGS = { 'expires-in': { type: 'string' } } as const

interface SignCommand {
  readonly paths: readonly string[]
  readonly key: string
  readonly publicUrl: string
  /** Seconds since 1970. */
  readonly expires?: number
}

function readCommand({ given, operands }: CommandLine, problems: string[]): SignCommand | undefined {
  const expiresIn = readSeconds(given.get('expires-in'), problems)
  const [key] = (process.env['URL_KEYS'] ?? '').split(/\s+/).filter((item) => item !== '')
  const publicUrl = (process.env['PUBLIC_URL'] ?? '').replace(/\/+$/, '')
  if (key === undefined) problems.push('URL_KEYS: is required, with the keys of the node; the first one signs')
  else if (key.length < 16) problems.push('URL_KEYS: each key should have at least 16 characters, as on the node')
  if (operands.length === 0) problems.push('a URL is required, such as /image/3f2a.../400w')
  if (key === undefined) return undefined
  const now = Math.floor(Date.now() / 1000)
  return { paths: operands, key, publicUrl, ...(expiresIn !== undefined && { expires: now + expiresIn }) }
}

function readSeconds(text: string | undefined, problems: string[]): number | undefined {
  if (text === undefined) return undefined
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text)
  problems.push(`--expires-in: "${text}" is not a whole number of seconds, at least 1`)
  return undefined
}

/** Prints the signed URLs. @returns the exit code. */
function sign({ paths, key, publicUrl, expires }: SignCommand, complain: Complain): number {
  let exitCode: number = EXIT.done
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
      exitCode = EXIT.failed
    }
  }
  return exitCode
}

await runCommand({
  name: 'sign-url',
  usage: USAGE,
  parse: (args) => parseCommandLine(args, { flags: FLAGS, hasOperands: true }, readCommand),
  run: sign,
})
