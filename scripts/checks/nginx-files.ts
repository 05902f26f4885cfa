import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { writeNewFile } from '../../src/adapters/files/new-file.ts'
import { CACHE_TAG_HEADERS } from '../../src/domain/caching/cache-tags.ts'
import { CACHE_FOLDERS, renditionFile, renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import type { Check } from './check.ts'
import { failure, ok, reasonOf, skipped, warning } from './finding.ts'

const TIMEOUT_MS = 5000

const UNSIGNED = failure(
  'nginx sends files of the cache without checking signatures, although SIZE_POLICY=signed.',
  'Set $direct_hits in nginx.conf to off, and reload nginx.',
)

const ROUNDING = failure(
  'nginx sends files of other sizes than the requested ones, although these settings do not round sizes up.',
  'Set $size_steps in nginx.conf to off, and reload nginx.',
)
const NOT_ROUNDING = warning(
  'nginx passes sizes between the steps to the node, although their files are in the cache.',
  'Set $size_steps in nginx.conf to on, write the rows of SIZE_STEPS below it, and reload nginx.',
)

const OTHER_TAGS = (names: readonly string[]) =>
  failure(
    'nginx sends files of the cache with other tag headers than the node: a CDN would not find them in a purge.',
    `Set $tag_headers in nginx.conf to "${names.join(',')}" (CACHE_TAG_HEADERS), and reload nginx.`,
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
    const rounds = config.SIZE_POLICY === 'steps' && config.SIZES_FALLBACK !== 'redirect'
    if (config.ACCEL_PREFIX === '' && !isSigned)
      return [skipped('With these settings nginx sends no file without the node.')]
    const id = randomBytes(20).toString('hex')
    const bytes = randomBytes(64)
    const cacheDir = resolve(config.CACHE_DIR)
    const step = Math.min(...config.SIZE_STEPS)
    const folder = join(cacheDir, CACHE_FOLDERS.renditions, renditionFolder(id))
    try {
      const temporary = join(cacheDir, CACHE_FOLDERS.temporary)
      writeNewFile({ temporary, folder, name: renditionFile(`${step}w`, 'webp'), bytes, durable: false })
      const { status, isSent, headers } = await view(`${url}/image/${id}/${step}w.webp`, bytes)
      if (isSigned) return [isSent ? UNSIGNED : ok('nginx sends no file before the node has checked its signature.')]
      if (isSent) {
        const names = config.CACHE_TAG_HEADERS
        if (CACHE_TAG_HEADERS.some((name) => names.includes(name) !== headers.has(name))) return [OTHER_TAGS(names)]
        const isRounded = (await view(`${url}/image/${id}/${step - 1}w.webp`, bytes)).isSent
        if (isRounded && !rounds) return [ROUNDING]
        if (!isRounded && rounds) return [NOT_ROUNDING]
        return [ok('nginx sends files of the cache by itself.')]
      }
      return [
        failure(
          `nginx does not send files of CACHE_DIR: it answered ${status} for a file that exists.`,
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

interface Viewed {
  readonly status: number
  readonly headers: Headers
  readonly isSent: boolean
}

/** @param bytes Of the file that nginx should send. */
async function view(url: string, bytes: Buffer): Promise<Viewed> {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
  const received = Buffer.from(await response.arrayBuffer())
  return { status: response.status, headers: response.headers, isSent: response.ok && received.equals(bytes) }
}
