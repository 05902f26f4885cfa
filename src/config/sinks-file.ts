import { readFile } from 'node:fs/promises'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { parseWebhookSecret } from '../domain/info/webhook.ts'
import { SettingError } from '../errors.ts'
import { ConfigError } from './env.ts'

/** A webhook that receives events. */
export interface SinkSettings {
  readonly name: string
  readonly url: string
  readonly secrets: readonly Buffer[]
}

type Env = Readonly<Record<string, string | undefined>>

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const NAME_RULE = 'a name should have 1 to 63 lower-case letters, digits and dashes'
const REFERENCE = /^\$(?:\{(?<braced>[A-Za-z_]\w*)\}|(?<bare>[A-Za-z_]\w*))$/

const Entry = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'should be a URL such as https://indexer.example.net/events' })
    .refine((url) => !URL.canParse(url) || new URL(url).username === '', 'should be without user name and password'),
  secret: z
    .string('should name an environment variable, such as $INDEXER_SECRET')
    .regex(REFERENCE, 'should name an environment variable, such as $INDEXER_SECRET; the file may not contain secrets'),
})

const File = z.strictObject({
  sinks: z.record(z.string().regex(NAME, NAME_RULE), Entry, 'should be a map from names to sinks'),
})

/**
 * The sinks of a YAML or JSON file.
 *
 * @param path Empty: no sinks.
 * @param env Contains the secrets that the file refers to.
 * @throws ConfigError with all mistakes.
 */
export async function loadSinks(path: string, env: Env): Promise<readonly SinkSettings[]> {
  if (path === '') return []
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ConfigError(`SINKS_FILE: ${reason}; it should be a YAML file such as /etc/darkroom-sinks.yaml`)
  })
  return parseSinks(text, env)
}

/** Like `loadSinks`, for the content of the file. */
export function parseSinks(text: string, env: Env): readonly SinkSettings[] {
  const document = parseDocument(text, { version: '1.2', schema: 'core' })
  const [mistake] = document.errors
  if (mistake) throw new ConfigError(`SINKS_FILE: ${mistake.message.split(/:?\n/)[0]}`)
  const file = File.safeParse(document.toJS())
  if (!file.success) {
    const mistakes = file.error.issues.map((issue) => {
      const message = issue.code === 'invalid_key' ? NAME_RULE : issue.message
      return `${['SINKS_FILE', ...issue.path].join('.')}: ${message}`
    })
    throw new ConfigError(mistakes.join('\n'))
  }
  const mistakes: string[] = []
  const sinks = Object.entries(file.data.sinks).map(([name, { url, secret }]) => {
    const secrets = secretsOf(secret, env, (problem) => mistakes.push(`SINKS_FILE.sinks.${name}.secret: ${problem}`))
    return { name, url, secrets }
  })
  if (mistakes.length > 0) throw new ConfigError(mistakes.join('\n'))
  return sinks
}

/** Several secrets, for rotation, are separated by spaces. */
function secretsOf(reference: string, env: Env, complain: (problem: string) => void): readonly Buffer[] {
  const { braced, bare } = REFERENCE.exec(reference)?.groups ?? {}
  const variable = braced ?? bare ?? ''
  const words = (env[variable] ?? '').split(/\s+/).filter((word) => word !== '')
  if (words.length === 0) complain(`the environment variable ${variable} is not set`)
  return words.flatMap((word) => {
    try {
      return [parseWebhookSecret(word)]
    } catch (error) {
      if (!(error instanceof SettingError)) throw error
      complain(`${variable} ${error.message}`)
      return []
    }
  })
}
