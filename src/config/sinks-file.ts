import { readFile } from 'node:fs/promises'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import type { CdnTarget } from '../domain/info/cdn-purge.ts'
import { CACHE_EVENTS, EVENT_TYPES, type EventType } from '../domain/info/image-event.ts'
import { parseWebhookSecret } from '../domain/info/webhook.ts'
import { SettingError } from '../errors.ts'
import { ConfigError } from './env.ts'

/** A system that receives events. */
export type SinkSettings = WebhookSettings | AmqpSettings | CdnSettings

interface Named {
  readonly name: string
  /** Types of events that it receives. Absent: all. */
  readonly types?: readonly EventType[]
}

export interface WebhookSettings extends Named {
  readonly kind: 'webhook'
  readonly url: string
  readonly secrets: readonly Buffer[]
}

/** An exchange of a broker that speaks AMQP 0-9-1, such as RabbitMQ. */
export interface AmqpSettings extends Named {
  readonly kind: 'amqp'
  /** The path is the virtual host, percent-encoded. */
  readonly url: string
  readonly user: string
  readonly password: string
  /** Empty: the default exchange, whose routing keys are the names of queues. */
  readonly exchange: string
  /** `{type}` stands for the type of the event. */
  readonly routingKey: string
}

/** A CDN that purges the pictures of these events. */
export type CdnSettings = Named & CdnTarget & { readonly isCdn: true }

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

const TYPES_RULE = `should be a list of ${EVENT_TYPES.join(', ')}`
const types = z
  .array(z.enum(EVENT_TYPES, { error: TYPES_RULE }), TYPES_RULE)
  .min(1, TYPES_RULE)
  .optional()

const Webhook = z.strictObject({
  kind: z.literal('webhook').optional(),
  types,
  url: z
    .url({ protocol: /^https?$/, error: 'should be a URL such as https://indexer.example.net/events' })
    .refine(withoutUser, 'should be without user name and password'),
  secret: reference('$INDEXER_SECRET'),
})

const Amqp = z.strictObject({
  kind: z.literal('amqp'),
  types,
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

const apiOf = (url: string) =>
  z
    .url({ protocol: /^https?$/, error: `should be the base of the API; the default is ${url}` })
    .refine(withoutUser, 'should be without user name and password')
    .default(url)
    .transform((base) => base.replace(/\/+$/, ''))

const Fastly = z.strictObject({
  kind: z.literal('fastly'),
  url: apiOf('https://api.fastly.com'),
  service: z.string('should be the id of the service').regex(/^\w+$/, 'should be the id of the service'),
  token: reference('$FASTLY_TOKEN'),
})

const Cloudflare = z.strictObject({
  kind: z.literal('cloudflare'),
  url: apiOf('https://api.cloudflare.com'),
  zone: z.string('should be the id of the zone').regex(/^[0-9a-f]{32}$/, 'should be the id of the zone, 32 hex digits'),
  token: reference('$CLOUDFLARE_TOKEN'),
})

const Entry = z.discriminatedUnion('kind', [Webhook, Amqp, Fastly, Cloudflare], {
  error: 'should be webhook, amqp, fastly or cloudflare',
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
  const sinks = Object.entries(file.data.sinks).map(([name, entry]) =>
    sinkSettings(name, entry, env, (problem) => mistakes.push(`SINKS_FILE.sinks.${name}.${problem}`)),
  )
  if (mistakes.length > 0) throw new ConfigError(mistakes.join('\n'))
  return sinks
}

function sinkSettings(
  name: string,
  entry: z.infer<typeof Entry>,
  env: Env,
  complain: (problem: string) => void,
): SinkSettings {
  const secretOf = (field: string, text: string): string => {
    const { variable, value } = lookUp(text, env)
    if (value === '') complain(`${field}: the environment variable ${variable} is not set`)
    return value
  }
  if (entry.kind === 'fastly' || entry.kind === 'cloudflare')
    return { ...entry, name, token: secretOf('token', entry.token), types: CACHE_EVENTS, isCdn: true }
  const { types: chosen, ...rest } = entry
  const named = { name, ...(chosen && { types: chosen }) }
  if (rest.kind === 'amqp') return { ...rest, ...named, password: secretOf('password', rest.password) }
  const secrets = secretsOf(rest.secret, env, (problem) => complain(`secret: ${problem}`))
  return { ...named, kind: 'webhook', url: rest.url, secrets }
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
