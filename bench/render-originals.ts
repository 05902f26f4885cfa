import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PutBucketPolicyCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import pLimit from 'p-limit'
import sharp from 'sharp'
import { originalKey } from '../src/domain/stored/store-layout.ts'
import type { Scope } from '../tools/processes/scope.ts'
import { newBucket } from '../tools/s3/s3-bucket.ts'
import { backgroundIsDone, startDarkroom } from '../tools/servers/darkroom.ts'
import { newStore } from '../tools/servers/site.ts'
import {
  type Photograph,
  type PhotographSource,
  readPhotographs,
  uploadFiles,
  writeCopies,
} from './render-photographs.ts'
import { filesIn, type NodeOriginals, type PeerOriginals, uploadsIn } from './render-subjects.ts'
import { startFolderNginx } from './static-nginx.ts'

const UPLOADS_AT_ONCE = 4
const ALIAS = 'photos'
/** One client asks for everything here, as fast as it is answered. */
const MANY_REMOTES = { REMOTE_NEW_PER_MINUTE: '1000000', REMOTE_NEW_PER_CLIENT: '1000000' } as const

export type Source = 'upload' | 'bucket' | 'remote'
export type StoreKind = 'file' | 's3'

/** Where our nodes and the peers find the same originals. */
export interface PlacedOriginals {
  readonly photographs: readonly Photograph[]
  /** Called for each node: the store of one that never saw the originals is new. */
  ours(): Promise<NodeOriginals>
  readonly peers: PeerOriginals
}

/** Different originals of one kind, each of a few photographs with another text in its file. */
export interface Originals {
  readonly folder: string
  readonly photographs: readonly Photograph[]
}

/** What a row needs. */
export interface RowStage {
  readonly originals: Originals
  /** For stores and caches; goes when the row is done. */
  readonly aside: string
  readonly rounds: number
  readonly smoke: boolean
}

/** @returns A new folder, which the caller removes. */
export async function newStageFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), 'darkroom-bench-rows-'))
}

export async function makeOriginals(source: PhotographSource, count: number, folder: string): Promise<Originals> {
  const names = await writeCopies(await readPhotographs(source), count, folder)
  const photographs = await pLimit(UPLOADS_AT_ONCE).map(names, async (file): Promise<Photograph> => {
    const { width, height } = await sharp(join(folder, file)).metadata()
    return { file, id: '', width, height }
  })
  return { folder, photographs }
}

/** Puts them where a row wants them. What is started for it ends with the scope. @param aside A folder for stores. */
export async function placeOriginals(
  scope: Scope,
  originals: Originals,
  { source, store, aside }: { readonly source: Source; readonly store: StoreKind; readonly aside: string },
): Promise<PlacedOriginals> {
  switch (source) {
    case 'upload':
      return await upload(originals, store, aside)
    case 'bucket':
      return await putIntoBucket(originals, store, aside)
    case 'remote':
      return await serve(scope, originals, store, aside)
  }
}

/** A node takes the uploads, finishes its work in the background, and leaves. */
async function upload({ folder, photographs }: Originals, store: StoreKind, aside: string): Promise<PlacedOriginals> {
  const s3 = store === 's3' ? await newPublicStore() : undefined
  const env = s3?.env ?? (await newFileStore(aside))
  const node = await startDarkroom({ env })
  try {
    const names = photographs.map(({ file }) => file)
    const uploaded = await uploadFiles(node.url, folder, names)
    await backgroundIsDone(node)
    const peers = s3 ? { root: s3.root, path: ({ id }: Photograph) => originalKey(id) } : filesIn(folder)
    return { photographs: uploaded, ours: () => Promise.resolve(uploadsIn(env)), peers }
  } finally {
    await node.stop()
  }
}

/** Another program's bucket, which our node reads with a key, and the peers without one. */
async function putIntoBucket(
  { folder, photographs }: Originals,
  store: StoreKind,
  aside: string,
): Promise<PlacedOriginals> {
  const { bucket, endpoint, region, credentials } = await newBucket()
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  try {
    await letEverybodyRead(client, bucket)
    await pLimit(UPLOADS_AT_ONCE).map(photographs, async ({ file }) => {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: file, Body: await readFile(join(folder, file)) }))
    })
  } finally {
    client.destroy()
  }
  const BUCKETS_FILE = join(aside, 'buckets.yaml')
  const access = `endpoint: ${endpoint}\n    accessKeyId: $PHOTOS_KEY\n    secretAccessKey: $PHOTOS_SECRET`
  await writeFile(BUCKETS_FILE, `buckets:\n  ${ALIAS}:\n    bucket: ${bucket}\n    ${access}\n`)
  const PHOTOS_KEY = String(credentials?.accessKeyId)
  const PHOTOS_SECRET = String(credentials?.secretAccessKey)
  return {
    photographs,
    ours: async () => ({
      env: { ...(await newEmptyStore(store, aside)), BUCKETS_FILE, PHOTOS_KEY, PHOTOS_SECRET },
      path: ({ file }, width, output) => `/s3/${ALIAS}/${file}/-/${width}w/x.${output}`,
    }),
    peers: { root: `${endpoint}/${bucket}`, path: ({ file }) => file },
  }
}

/** Files that an nginx sends. */
async function serve(
  scope: Scope,
  { folder, photographs }: Originals,
  store: StoreKind,
  aside: string,
): Promise<PlacedOriginals> {
  const nginx = await startFolderNginx(folder, photographs[0]?.file ?? '')
  scope.after(nginx.stop)
  const { host, origin } = new URL(nginx.url)
  const remote = { REMOTE_HOSTS: host, REMOTE_ALLOW_ADDRESSES: '127.0.0.1', ...MANY_REMOTES }
  return {
    photographs,
    ours: async () => ({
      env: { ...(await newEmptyStore(store, aside)), ...remote },
      path: ({ file }, width, output) =>
        `/image?url=${encodeURIComponent(`${origin}/${file}`)}&size=${width}w&format=${output}`,
    }),
    peers: { root: origin, path: ({ file }) => file },
  }
}

async function newEmptyStore(store: StoreKind, aside: string): Promise<Readonly<Record<string, string>>> {
  return store === 's3' ? (await newStore()).env : await newFileStore(aside)
}

async function newFileStore(aside: string): Promise<Readonly<Record<string, string>>> {
  return { STORE: `file:${await mkdtemp(join(aside, 'store-'))}` }
}

/** A store in a bucket that the peers can read. */
async function newPublicStore() {
  const { settings, env, endpoint } = await newStore()
  const { bucket, region, credentials } = settings
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  try {
    await letEverybodyRead(client, bucket)
  } finally {
    client.destroy()
  }
  return { env, root: `${endpoint}/${bucket}` }
}

async function letEverybodyRead(client: S3Client, bucket: string): Promise<void> {
  const Statement = [
    { Effect: 'Allow', Principal: '*', Action: ['s3:GetObject'], Resource: [`arn:aws:s3:::${bucket}/*`] },
  ]
  await client.send(
    new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }),
  )
}
