import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { flatPicture } from '../pictures/flat-picture.ts'
import type { Scope } from '../processes/scope.ts'
import { post } from '../requests/ask.ts'
import { createKeptConnection, type KeptConnection } from '../requests/kept-connection.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { newBucket } from '../s3/s3-bucket.ts'
import type { Darkroom, DarkroomOptions } from '../servers/darkroom.ts'
import { listen } from '../servers/remote-host.ts'
import { startNodeFor, TOKEN, temporaryFolder } from '../servers/site.ts'

/** What there is any number of that a node does not have: uploads, objects, remote images, and sizes of a picture. */
export const MISSING_KINDS = ['ids', 'keys', 'remotes', 'specs'] as const
export type MissingKind = (typeof MISSING_KINDS)[number]

export interface MissingSite {
  readonly node: Darkroom
  /**
   * Requests `count` distinct ones, from number `from` on: 404s, and pictures that are made.
   * @throws Error when another answer comes.
   */
  request(kind: MissingKind, from: number, count: number): Promise<void>
}

const STATUSES = { ids: 404, keys: 404, remotes: 404, specs: 200 } as const satisfies Record<MissingKind, number>
const CLIENTS = 16
const WIDTHS = 8000
/** A picture for which there is no time is requested again: what is looked at here is memory. */
const MAX_REFUSALS = 200
const REFUSAL_PAUSE_MS = 50

/** A node with an empty bucket, a remote host that has no images, and one small picture. */
export async function startMissingSite(
  scope: Scope,
  { env, ...options }: Pick<DarkroomOptions, 'env' | 'through'> = {},
): Promise<MissingSite> {
  const remote = await listen(
    scope,
    createServer((_, response) => response.writeHead(404).end()),
    {},
  )
  const node = await startNodeFor(scope, {
    ...options,
    env: {
      ACCEL_PREFIX: '/_renditions/',
      UPLOAD_TOKENS: TOKEN,
      LOG_LEVEL: 'warn',
      REMOTE_HOSTS: `127.0.0.1:${remote.port}`,
      REMOTE_ALLOW_ADDRESSES: '127.0.0.1',
      ...(await bucketEnv(scope)),
      ...env,
    },
  })
  const { id } = jsonFields((await post(node.url, await flatPicture('red', { width: 8, height: 8 }), TOKEN)).body)
  const targets = {
    ids: (number) => `/image/${createHash('sha1').update(String(number)).digest('hex')}/400w`,
    keys: (number) => `/s3/photos/none-${number}.jpg/-/400w`,
    remotes: (number) => `/image?url=${encodeURIComponent(`${remote.origin}/none-${number}.jpg`)}&size=400w`,
    specs: (number) => `/image/${String(id)}/${1 + (number % WIDTHS)}w,q${1 + Math.floor(number / WIDTHS)}/x.jpg`,
  } as const satisfies Record<MissingKind, (number: number) => string>

  async function request(connection: KeptConnection, kind: MissingKind, number: number): Promise<void> {
    const target = targets[kind](number)
    for (let refusals = 0; ; refusals += 1) {
      const { status, body } = await connection.get(target)
      if (status === STATUSES[kind]) return
      if (kind !== 'specs' || status !== 503 || refusals === MAX_REFUSALS) {
        throw new Error(`${target} was answered ${status}: ${body.toString()}`)
      }
      await delay(REFUSAL_PAUSE_MS)
    }
  }

  return {
    node,
    async request(kind, from, count) {
      let next = from
      const client = async (): Promise<void> => {
        const connection = createKeptConnection(node.port)
        try {
          while (next < from + count) {
            next += 1
            await request(connection, kind, next - 1)
          }
        } finally {
          connection.close()
        }
      }
      await Promise.all(Array.from({ length: CLIENTS }, client))
    },
  }
}

/** Settings of a node that serves a new, empty bucket as `photos`. */
async function bucketEnv(scope: Scope): Promise<Readonly<Record<string, string>>> {
  const { bucket, endpoint, region, credentials } = await newBucket()
  const file = join(await temporaryFolder(scope), 'buckets.json')
  const photos = { bucket, endpoint, region, accessKeyId: '$PHOTOS_KEY', secretAccessKey: '$PHOTOS_SECRET' }
  await writeFile(file, JSON.stringify({ buckets: { photos } }))
  return {
    BUCKETS_FILE: file,
    PHOTOS_KEY: String(credentials?.accessKeyId),
    PHOTOS_SECRET: String(credentials?.secretAccessKey),
  }
}
