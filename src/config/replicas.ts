import { SettingError } from '../errors.ts'

/** An entry of STORE_REPLICAS: a replica, or the place of the primary among them. */
export type ReplicaEntry = 'primary' | ReplicaSettings

export interface ReplicaSettings {
  readonly bucket: string
  /** Absent: AWS. */
  readonly endpoint?: string
  readonly region?: string
  readonly pathStyle?: boolean
  /** Profile in the AWS credentials file. Absent: the credentials of the primary. */
  readonly profile?: string
}

const EXAMPLE = 's3://my-bucket?endpoint=https://minio-b.internal:9000'
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const OPTIONS = ['endpoint', 'region', 'pathStyle', 'profile'] as const

/**
 * @example parseReplica('s3://originals?endpoint=https://minio-b.internal:9000&profile=site-b')
 * @throws SettingError
 */
export function parseReplica(word: string): ReplicaEntry {
  if (word === 'primary') return 'primary'
  const { bucket = '', query = '' } = /^s3:\/\/(?<bucket>[^?/]+)\/?(?:\?(?<query>.*))?$/.exec(word)?.groups ?? {}
  if (!BUCKET.test(bucket)) throw new SettingError(`an entry should be "primary", or like ${EXAMPLE}`)
  const options = new URLSearchParams(query)
  for (const name of options.keys()) {
    // The message does not repeat the value: it may be a secret.
    if (!OPTIONS.some((known) => known === name))
      throw new SettingError(`s3://${bucket}: "${name}" should be one of ${OPTIONS.join(', ')}`)
    if (options.getAll(name).length > 1) throw new SettingError(`s3://${bucket}: ${name} should be given once`)
  }
  const given = (name: (typeof OPTIONS)[number]) => options.get(name) ?? undefined
  const [endpoint, region, pathStyle, profile] = OPTIONS.map(given)
  if (endpoint !== undefined && !isPlainUrl(endpoint))
    throw new SettingError(`s3://${bucket}: endpoint should be a URL such as https://minio-b.internal:9000`)
  if (pathStyle !== undefined && pathStyle !== 'true' && pathStyle !== 'false')
    throw new SettingError(`s3://${bucket}: pathStyle should be true or false`)
  if (region === '' || profile === '') throw new SettingError(`s3://${bucket}: region and profile should not be empty`)
  return {
    bucket,
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    ...(pathStyle !== undefined && { pathStyle: pathStyle === 'true' }),
    ...(profile !== undefined && { profile }),
  }
}

function isPlainUrl(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false
  const { username, password, search, hash } = new URL(text)
  return [username, password, search, hash].every((part) => part === '')
}
