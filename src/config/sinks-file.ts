import { readFile } from 'node:fs/promises'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { parseWebhookSecret } from '../domain/info/webhook.ts'
import { SettingError } from '../errors.ts'
import { ConfigError } from './env.ts'

/** A system that receives events. */
export type SinkSettings = WebhookSettings | AmqpSettings

export interface WebhookSettings {
  readonly kind: 'webhook'
  readonly name: string
  readonly url: string
  readonly secrets: readonly Buffer[]
}

/** An exchange of a broker that speaks AMQP 0-9-1, such as RabbitMQ. */
export interface AmqpSettings {
  readonly kind: 'amqp'
  readonly name: string
  /** The path is the virtual host, percent-encoded. */
  readonly url: string
  readonly user: string
  readonly password: string
  /** Empty: the default exchange, whose routing keys are the names of queues. */
  readonly exchange: string
  /** `{type}` stands for the type of the event. */
  readonly routingKey: string
}

type Env = Readonly<Record<string, string | undefined>>

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const NAME_RULE = 'a name should have 1 to 63 lower-case letters, digits and dashes'
const REFERENCE = /^\$(?:\{(?<braced>[A-Za-z_]\w*)\}|(?<bare>[A-Za-z_]\w*))$/

const withoutUser = (url: string) => !URL.canParse(url) || new URL(url).username === ''
const reference = (example: string) => {
  const rule = `should name an environment variable, such as ${example}`
  return z.string(rule).regex(REFERENCE, `${rule}; the file may not contain secrets`)
}
/** A short string of AMQP has at most 255 bytes. */
const isShort = (text: string) => Buffer.byteLength(text) <= 255
const SHORT_RULE = 'should have at most 255 bytes'

const Webhook = z.strictObject({
  kind: z.literal('webhook').optional(),
  url: z
    .url({ protocol: /^https?$/, error: 'should be a URL such as https://indexer.example.net/events' })
    .refine(withoutUser, 'should be without user name and password'),
  secret: reference('$INDEXER_SECRET'),
})

const Amqp = z.strictObject({
  kind: z.literal('amqp'),
  url: z
    .url({
      protocol: /^amqps?$/,
      error: 'should be a URL such as amqps://broker.example.net or amqp://10.0.0.5:5672/vhost',
    })
    .refine(withoutUser, 'should be without user name and password: they are user and password of the sink'),
  user: z.string('should be the name of the user at the broker').min(1),
  password: reference('$BROKER_PASSWORD'),
  exchange: z.string().refine(isShort, SHORT_RULE).default(''),
  routingKey: z
    .string('should be a routing key; for the default exchange the name of a queue')
    .min(1)
    .refine(isShort, SHORT_RULE),
})

const Entry = z.discriminatedUnion('kind', [Webhook, Amqp], { error: 'should be webhook or amqp' })

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
  const sinks = Object.entries(file.data.sinks).map(([name, entry]): SinkSettings => {
    const complain = (problem: string) => mistakes.push(`SINKS_FILE.sinks.${name}.${problem}`)
    if (entry.kind === 'amqp') {
      const { variable, value } = lookUp(entry.password, env)
      if (value === '') complain(`password: the environment variable ${variable} is not set`)
      return { ...entry, name, password: value }
    }
    const secrets = secretsOf(entry.secret, env, (problem) => complain(`secret: ${problem}`))
    return { kind: 'webhook', name, url: entry.url, secrets }
  })
  if (mistakes.length > 0) throw new ConfigError(mistakes.join('\n'))
  return sinks
}

/** The environment variable that a reference names, and its value; empty: it is not set. */
function lookUp(text: string, env: Env): { readonly variable: string; readonly value: string } {
  const { braced, bare } = REFERENCE.exec(text)?.groups ?? {}
  const variable = braced ?? bare ?? ''
  return { variable, value: env[variable] ?? '' }
}

/** Several secrets, for rotation, are separated by spaces. */
function secretsOf(text: string, env: Env, complain: (problem: string) => void): readonly Buffer[] {
  const { variable, value } = lookUp(text, env)
  const words = value.split(/\s+/).filter((word) => word !== '')
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
