import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { resourceId } from '../../src/domain/identity/image-id.ts'
import { noisePicture } from '../pictures/picture.ts'
import { freePort } from '../processes/free-port.ts'
import type { Scope } from '../processes/scope.ts'
import { ask } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { AUTHORIZATION } from '../requests/token.ts'
import { newBucket } from '../s3/s3-bucket.ts'
import { type Darkroom, startDarkroom } from '../servers/darkroom.ts'
import { newStore, temporaryFolder } from '../servers/site.ts'
import { cdnSinks, type StandInCdn, startStandInCdn } from '../servers/stand-in-cdn.ts'

export interface PurgeTrialOptions {
  /** A quarter each is deleted, and purged by id, by label and by prefix. */
  readonly pictures: number
  /** One more is down meanwhile. */
  readonly nodes: number
  /** Clients that request new sizes all the time. */
  readonly viewers: number
  readonly say: (line: string) => void
}

/** A picture that is deleted or purged, and how it is viewed. */
export interface Victim {
  readonly how: (typeof HOWS)[number]
  /** Its tag: an image id, or the resource id of an object. */
  readonly tag: string
  /** The URL up to the size. */
  readonly path: string
  /** Of an object of the bucket. */
  readonly key?: string
}

export interface PurgeStage {
  readonly cdn: StandInCdn
  /** The last one is to be stopped. */
  readonly nodes: readonly Darkroom[]
  readonly victims: readonly Victim[]
  /** Begins a node again, with its disk. */
  restart(node: Darkroom): Promise<Darkroom>
  /** Puts another picture under the key. */
  replace(key: string): Promise<void>
}

export const HOWS = ['delete', 'id', 'label', 'prefix'] as const
export const LABEL = 'purged'
export const PREFIX = 'purged/'
const WIDTH = 240
const HEIGHT = 180
const AT_ONCE = 8

export async function setStage(scope: Scope, { pictures, nodes: count }: PurgeTrialOptions): Promise<PurgeStage> {
  const cdn = await startStandInCdn(scope)
  const { yaml, env: secrets } = cdnSinks(cdn.url)
  const folder = await temporaryFolder(scope)
  const { bucket, endpoint, region, credentials } = await newBucket()
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  scope.after(() => client.destroy())
  const photos = { bucket, endpoint, accessKeyId: '$PHOTOS_KEY', secretAccessKey: '$PHOTOS_SECRET', freshSeconds: 3600 }
  await writeFile(join(folder, 'buckets.json'), JSON.stringify({ buckets: { photos } }))
  await writeFile(join(folder, 'sinks.yaml'), yaml)
  const env = {
    ...(await newStore()).env,
    ...secrets,
    BUCKETS_FILE: join(folder, 'buckets.json'),
    SINKS_FILE: join(folder, 'sinks.yaml'),
    PHOTOS_KEY: String(credentials?.accessKeyId),
    PHOTOS_SECRET: String(credentials?.secretAccessKey),
    LOG_LEVEL: 'warn',
  }
  const start = async (port: number, cacheDir?: string): Promise<Darkroom> => {
    const own = { NODE_ADDRESS: `127.0.0.1:${port}`, ...(cacheDir && { CACHE_DIR: cacheDir }) }
    const node = await startDarkroom({ port, env: { ...env, ...own } })
    scope.after(() => node.stop())
    return node
  }
  const nodes: Darkroom[] = []
  for (let number = 0; number <= count; number += 1) nodes.push(await start(await freePort()))
  let seed = 1800
  const picture = async () => {
    seed += 1
    return (await noisePicture(seed, WIDTH, HEIGHT)).bytes
  }
  const replace = async (key: string): Promise<void> =>
    void (await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: await picture() })))

  const upload = async (how: Victim['how'], number: number): Promise<Victim> => {
    if (how === 'prefix') {
      const key = `${PREFIX}${number}.png`
      await replace(key)
      return { how, tag: resourceId({ kind: 'object', bucket: 'photos', key }), path: `/s3/photos/${key}/-`, key }
    }
    const headers = { ...AUTHORIZATION, 'Content-Type': 'image/png' }
    const url = `${nodes[0]?.url}/images${how === 'label' ? `?labels=${LABEL}` : ''}`
    const { status, body } = await ask(url, { method: 'POST', headers, body: new Uint8Array(await picture()) })
    if (status !== 201) throw new Error(`an upload was answered ${status}`)
    const { id } = jsonFields(body)
    return { how, tag: String(id), path: `/image/${String(id)}` }
  }
  const wanted = Array.from({ length: pictures }, (_, number) => ({ how: HOWS[number % HOWS.length] ?? 'id', number }))
  const victims: Victim[] = []
  await atOnce(AT_ONCE, wanted, async ({ how, number }) => void victims.push(await upload(how, number)))
  return {
    cdn,
    nodes,
    victims,
    restart: (node) => start(node.port, node.cacheDir),
    replace,
  }
}

/** Calls `act` for each value, so many at the same time. */
export async function atOnce<T>(limit: number, values: readonly T[], act: (value: T) => Promise<void>): Promise<void> {
  const rest = values[Symbol.iterator]()
  const work = async () => {
    for (const value of rest) await act(value)
  }
  await Promise.all(Array.from({ length: limit }, work))
}
