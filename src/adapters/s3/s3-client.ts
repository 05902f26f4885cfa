import { type LookupAddress, type LookupOptions } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { LookupFunction } from 'node:net'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import type { S3Limits } from './s3-calls.ts'

export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface S3ClientSettings {
  /** Absent: AWS itself. */
  readonly endpoint?: string
  readonly region: string
  readonly forcePathStyle: boolean
  /**
   * Absent: the SDK's default chain (environment, profile, role of the machine). `anonymous`: requests are not signed.
   */
  readonly credentials?: S3Credentials | 'anonymous'
  /** Of the AWS credentials file. Only without `credentials`. */
  readonly profile?: string
}

const IDLE_SOCKET_MS = 30_000
const QUIET = { debug() {}, info() {}, warn() {}, error() {} } as const

export interface S3Agents {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

/** The SDK's client, and the connections that it shares with requests that it does not send. */
export interface S3Connections {
  readonly client: S3Client
  readonly agents: S3Agents
  /** Ends all connections. */
  close(): void
}

/** A client of the AWS SDK without its own limits, retries and messages. The caller closes the connections. */
export function createS3Connections(settings: S3ClientSettings, limits: S3Limits): S3Connections {
  const options = {
    keepAlive: true,
    maxSockets: limits.maxCalls,
    timeout: IDLE_SOCKET_MS,
    lookup: createSharedLookup(),
  } as const
  const agents: S3Agents = { http: new HttpAgent(options), https: new HttpsAgent(options) }
  const client = new S3Client({
    region: settings.region,
    forcePathStyle: settings.forcePathStyle,
    ...(settings.endpoint !== undefined && { endpoint: settings.endpoint }),
    ...identity(settings.credentials),
    ...(settings.profile !== undefined && { profile: settings.profile }),
    // Older Ceph RGW rejects the trailing checksums that the SDK sends by default.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // The SDK does not retry; the only attempts are those of `S3Calls`.
    maxAttempts: 1,
    // Otherwise the SDK makes an agent for each put, without keep-alive or a limit.
    expectContinueHeader: false,
    // Without a logger the SDK prints a warning for every failed put of a stream.
    logger: QUIET,
    requestHandler: {
      connectionTimeout: limits.connectTimeoutMs,
      httpAgent: agents.http,
      httpsAgent: agents.https,
    },
  })
  return {
    client,
    agents,
    close() {
      client.destroy()
      // The client does not destroy agents that it has not used.
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}

function identity(credentials: S3ClientSettings['credentials']): S3ClientConfig {
  if (credentials === undefined) return {}
  if (credentials !== 'anonymous') return { credentials }
  // The SDK requires a signer; this one adds no headers.
  const nobody = { accessKeyId: '', secretAccessKey: '' }
  return { credentials: nobody, signer: { sign: (request) => Promise.resolve(request) } }
}

type AskForAddresses = (hostname: string, options: LookupOptions) => Promise<LookupAddress[]>

/**
 * Shares one lookup of a server's name between all new connections. `getaddrinfo` blocks one of libuv's few threads
 * while DNS servers are silent: with one for each call, files would wait for DNS.
 */
export function createSharedLookup(ask: AskForAddresses = askSystem): LookupFunction {
  const flights = new Map<string, Promise<LookupAddress[]>>()

  function addresses(hostname: string, { family = 0, hints = 0 }: LookupOptions): Promise<LookupAddress[]> {
    const key = `${hostname} ${family} ${hints}`
    const flight = flights.get(key) ?? ask(hostname, { family, hints }).finally(() => flights.delete(key))
    flights.set(key, flight)
    return flight
  }

  return (hostname, options, callback) => {
    addresses(hostname, options).then(
      (found) => {
        const [first] = found
        if (options.all === true || first === undefined) callback(null, found)
        else callback(null, first.address, first.family)
      },
      (error: unknown) => callback(error instanceof Error ? error : new Error('No address', { cause: error }), []),
    )
  }
}

function askSystem(hostname: string, options: LookupOptions): Promise<LookupAddress[]> {
  return lookup(hostname, { ...options, all: true })
}
