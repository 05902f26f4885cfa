import { createHash } from 'node:crypto'
import type { ObjectRef, RemoteRef } from './original-ref.ts'

const HEX_DIGITS = 40

/**
 * Name of an original that may change, whatever its version: `r` and 40 hex digits. It is what an invalidation names.
 * @see OriginalRef
 */
export function resourceId(ref: ObjectRef | RemoteRef): string {
  const parts = ref.kind === 'remote' ? [ref.url, ref.tag ?? ''] : [ref.bucket, ref.key, ref.versionId ?? '']
  return `r${digest([ref.kind, ...parts])}`
}

/**
 * Name of one version of such an original, which never changes: `v` and 40 hex digits. Renditions are kept under it as those
 * of an upload are under its id; having another letter in front, neither can be taken for the other.
 *
 * @param mark What tells this version from every other: an ETag, a hash of the bytes.
 */
export function versionId(resource: string, mark: string): string {
  return `v${digest([resource, mark])}`
}

/** The same for bytes that nobody may keep: they stay in memory while they are being looked at. `t` and 40 hex digits. */
export function transientId(resource: string, mark: string): string {
  return `t${digest([resource, mark])}`
}

/** True for a name of `resourceId`. */
export function isResourceId(id: string): boolean {
  return /^r[0-9a-f]{40}$/.test(id)
}

/** True for a name of `versionId` or `transientId`. */
export function isVersionId(id: string): boolean {
  return /^[vt][0-9a-f]{40}$/.test(id)
}

/** True for a name of `transientId`. */
export function isTransientId(id: string): boolean {
  return /^t[0-9a-f]{40}$/.test(id)
}

/** JSON keeps the parts apart, whatever is in them. */
function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, HEX_DIGITS)
}
