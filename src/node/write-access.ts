import { prepareFileStore } from '../adapters/file-store/file-store.ts'
import { loadUploadToken, type UploadToken } from '../adapters/file-store/file-store-token.ts'
import { type Config, ConfigError } from '../config/env.ts'
import type { WriteAccess } from '../domain/access/write-access.ts'
import { servesOnly, tokenSource } from '../domain/access/write-access.ts'
import { SettingError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import { storePlace } from './outside.ts'
import { atStart } from './start-trouble.ts'

/** The upload tokens of a node, and the file of a generated one. */
export interface NodeAccess extends WriteAccess {
  /** Absent if the tokens come from the settings, or there are none. */
  readonly generated?: UploadToken
  /** For `/readyz`: why the node is read-only. */
  readonly notes: readonly string[]
}

/**
 * Finds the node's upload tokens; generates one if the settings allow it. To be called before the store is opened.
 *
 * @throws ConfigError for a file with a token that cannot be used.
 */
export async function findAccess(config: Config, log: Log): Promise<NodeAccess> {
  const source = tokenSource(config)
  if (source.kind === 'settings') return { tokens: source.tokens, notes: [] }
  if (source.kind === 'none') return serveOnly(source.reason, log)
  const place = storePlace(source.folder)
  await atStart(place, prepareFileStore(source.folder))
  const found = await atStart(place, loadUploadToken(source.folder)).catch((error: unknown) => {
    throw error instanceof SettingError ? new ConfigError(`STORE: ${error.message}`) : error
  })
  if ('errorCode' in found) {
    return serveOnly(servesOnly(`no token could be saved in the folder of STORE (${found.errorCode})`), log)
  }
  if (!found.isPrivate)
    log.warn({ path: found.path }, 'The file of the upload token is readable by other users: run chmod 600 on it')
  return { tokens: [found.token], generated: found, notes: [] }
}

function serveOnly(reason: string, log: Log): NodeAccess {
  log.warn(reason)
  return { tokens: [], notes: [reason] }
}
