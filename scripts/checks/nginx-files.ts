import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { writeNewFile } from '../../src/adapters/files/new-file.ts'
import { CACHE_FOLDERS, renditionFile, renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import type { Check } from './check.ts'
import { failure, ok, reasonOf, skipped } from './finding.ts'

const TIMEOUT_MS = 5000
const SPEC = '16w'

const UNSIGNED = failure(
  'nginx sends files of the cache without checking signatures, although SIZE_POLICY=signed.',
  'Set $direct_hits in nginx.conf to off, and reload nginx.',
)

/**
 * nginx sends a file of the cache by itself, or with signed URLs it does not. The file is a probe of a random id, with a modification time that makes the node
 * ignore it.
 */
export const nginxFilesCheck: Check = {
  name: 'nginx files',
  async run({ config, url }) {
    if (url === undefined) return [skipped('nginx is asked with --url, such as --url http://127.0.0.1:80.')]
    const isSigned = config.SIZE_POLICY === 'signed'
    if (config.ACCEL_PREFIX === '' && !isSigned)
      return [skipped('With these settings nginx sends no file without the node.')]
    const id = randomBytes(20).toString('hex')
    const bytes = randomBytes(64)
    const cacheDir = resolve(config.CACHE_DIR)
    const folder = join(cacheDir, CACHE_FOLDERS.renditions, renditionFolder(id))
    try {
      const temporary = join(cacheDir, CACHE_FOLDERS.temporary)
      writeNewFile({ temporary, folder, name: renditionFile(SPEC, 'webp'), bytes, durable: false })
      const response = await fetch(`${url}/image/${id}/${SPEC}.webp`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
      const received = Buffer.from(await response.arrayBuffer())
      const isSent = response.ok && received.equals(bytes)
      if (isSigned) return [isSent ? UNSIGNED : ok('nginx sends no file before the node has checked its signature.')]
      if (isSent) return [ok('nginx sends files of the cache by itself.')]
      return [
        failure(
          `nginx does not send files of CACHE_DIR: it answered ${response.status} for a file that exists.`,
          `Set $hit_tree in nginx.conf to ${join(cacheDir, CACHE_FOLDERS.renditions)} and $direct_hits to on, and let the user of the nginx workers enter that folder and its parents; --url has to be this node's own nginx.`,
        ),
      ]
    } catch (error) {
      return [
        failure(
          `The nginx at ${url} cannot be asked for a file of the cache: ${reasonOf(error)}.`,
          'Start nginx ("systemctl start nginx"; "nginx -t -c /etc/nginx/darkroom.conf" checks its configuration), or correct --url.',
        ),
      ]
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
}
