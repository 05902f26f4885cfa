import { HOW_TO_CONFIGURE } from './write-access.ts'

/** The settings that decide where a node's tokens come from. */
export interface TokenSettings {
  readonly UPLOAD_TOKENS: readonly string[]
  readonly STORE: string
  readonly ACCEL_PREFIX: string
  readonly HOST: string
}

export type TokenSource =
  | { readonly kind: 'settings'; readonly tokens: readonly string[] }
  /** The file `upload-token` in the embedded store's folder, made at the first start. */
  | { readonly kind: 'file'; readonly folder: string }
  /** The node serves only. */
  | { readonly kind: 'none'; readonly reason: string }

const FILE_SCHEME = 'file:'

/** A token is generated for a trial on one machine only: an operator of anything larger chooses who may write. */
export function tokenSource({ UPLOAD_TOKENS: tokens, STORE, ACCEL_PREFIX, HOST }: TokenSettings): TokenSource {
  if (tokens.length > 0) return { kind: 'settings', tokens }
  const obstacles = [
    ...(STORE.startsWith(FILE_SCHEME) ? [] : ['STORE is an S3 bucket']),
    ...(ACCEL_PREFIX === '' ? [] : ['ACCEL_PREFIX is set']),
    ...(isLoopback(HOST) ? [] : ['HOST is not a loopback address']),
  ]
  if (obstacles.length === 0) return { kind: 'file', folder: STORE.slice(FILE_SCHEME.length) }
  const listed = obstacles.join(', ').replace(/, (?=[^,]*$)/, ' and ')
  return { kind: 'none', reason: servesOnly(`no token is generated because ${listed}`) }
}

/** For the log and `/readyz`. @param why There is no token, as a clause. */
export function servesOnly(why: string): string {
  return (
    `This node is read-only: UPLOAD_TOKENS is empty, and ${why}. ` +
    `Uploads, deletions, and access to originals and private metadata are refused (403). To enable them, ${HOW_TO_CONFIGURE}`
  )
}

/** True for the names and addresses that only this machine reaches. */
export function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name)
}
