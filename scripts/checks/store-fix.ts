import { S3Failure, type S3Verdict } from '../../src/adapters/s3/s3-failure.ts'
import { ServiceError } from '../../src/errors.ts'

/** The settings of one store or bucket, for advice. */
export interface StoreNames {
  readonly bucket: string
  readonly endpoint: string
  readonly credentials: string
  /** File with the policy of the permissions that are needed. */
  readonly policy: string
}

/** @param permission Needed by the call that failed. @returns one sentence. */
export function storeFix(error: unknown, permission: string, names: StoreNames): string {
  if (error instanceof S3Failure) return `${s3Fix(error.verdict, permission, names)}.`
  if (error instanceof ServiceError && error.code === 'store_full') return 'Free space in the store, or enlarge it.'
  return `Check ${names.endpoint}.`
}

function s3Fix(verdict: S3Verdict, permission: string, { bucket, endpoint, credentials, policy }: StoreNames): string {
  switch (verdict) {
    case 'no_bucket':
    case 'unclear':
      return `Create the bucket of ${bucket}, or correct its name`
    case 'refused':
      return `Correct ${credentials}, or allow ${permission} (${policy})`
    case 'no_credentials':
      return `Set ${credentials}, or assign a role to this machine`
    case 'skewed':
      return 'Synchronise the clock of this machine with NTP: timedatectl set-ntp true'
    case 'no_tls':
      return `If the server uses plain HTTP, write http:// in ${endpoint}`
    case 'full':
      return 'Free space in the store, or raise the quota of the bucket'
    case 'down':
    case 'silent':
    case 'busy':
      return `Check that the S3 server runs, that a firewall lets this machine connect, and that ${endpoint} has the right host and port`
    default:
      return `Check that ${endpoint} is the URL of an S3 server, not of its console or of a proxy`
  }
}
