import { PutObjectCommand } from '@aws-sdk/client-s3'
import type { Scope } from '../../../tools/processes/scope.ts'
import { newBucket } from '../../../tools/s3/s3-bucket.ts'
import { createTestClient } from '../../../tools/s3/s3-server.ts'
import { s3ForTests } from '../../../tools/s3/start-s3-server.ts'
import { fixture, uploadFixture } from '../../../tools/servers/darkroom.ts'
import { startRemoteHost } from '../../../tools/servers/remote-host.ts'
import { startNodeFor } from '../../../tools/servers/site.ts'
import { startStubDns } from '../../../tools/servers/stub-dns.ts'
import { writeBucketsFile } from '../buckets-file.ts'

/** A node with a picture. */
export interface Served {
  readonly url: string
  readonly id: string
}

/** Nodes that several mistakes share; each starts when it is first needed. */
export interface Servers {
  readonly open: () => Promise<Served>
  /** With low limits of uploads. */
  readonly small: () => Promise<Served>
  /** With SIZE_POLICY=signed. */
  readonly signed: () => Promise<Served & { readonly key: string }>
  /** With the bucket "photos", and with remote hosts. */
  readonly elsewhere: () => Promise<
    Served & {
      /** Of the remote host images.example. */
      readonly port: number
      /** The settings for it. */
      readonly remotes: Readonly<Record<'REMOTE_HOSTS' | 'REMOTE_ALLOW_ADDRESSES' | 'REMOTE_DNS', string>>
    }
  >
}

/** Hexadecimal, as `openssl rand -hex 32` prints it. */
const URL_KEY = '943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881'

export function createServers(t: Scope): Servers {
  return {
    open: once(() => serve(t, {})),
    small: once(() => serve(t, { MAX_UPLOAD_BYTES: '160K', MAX_PIXELS: '2000000' })),
    signed: once(async () => ({ ...(await serve(t, { SIZE_POLICY: 'signed', URL_KEYS: URL_KEY })), key: URL_KEY })),
    elsewhere: once(() => serveElsewhere(t)),
  }
}

function once<T>(start: () => Promise<T>): () => Promise<T> {
  let started: Promise<T> | undefined
  return () => {
    started ??= start()
    return started
  }
}

async function serve(t: Scope, env: Readonly<Record<string, string>>): Promise<Served> {
  const { url } = await startNodeFor(t, { env })
  return { url, id: await uploadFixture(url, 'mountains.jpg') }
}

async function serveElsewhere(t: Scope) {
  const picture = await fixture('mountains.jpg')
  const host = await startRemoteHost(t, (request, response) => {
    const path = request.url ?? ''
    const type = path.startsWith('/page') ? 'text/html' : 'image/jpeg'
    response.writeHead(path.startsWith('/missing') ? 404 : 200, { 'Content-Type': type })
    response.end(type === 'text/html' ? '<!DOCTYPE html><html><p>Log in</p></html>' : picture)
  })
  const dns = await startStubDns(t, ({ name, type }) =>
    name === 'images.example' && type === 'A' ? ['127.0.0.1'] : 'absent',
  )
  const access = await s3ForTests()
  const { bucket } = await newBucket()
  const client = createTestClient(access)
  for (const Key of ['cat.jpg', 'my cat.jpg', '100%.jpg'])
    await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: picture }))
  client.destroy()
  const { endpoint, accessKeyId, secretAccessKey } = access
  const file = await writeBucketsFile(t, {
    photos: { bucket, endpoint, accessKeyId: '$KEY', secretAccessKey: '$SECRET' },
  })
  const remotes = {
    REMOTE_HOSTS: `http://images.example:${host.port}`,
    REMOTE_ALLOW_ADDRESSES: '127.0.0.1',
    REMOTE_DNS: dns.server,
  }
  const served = await serve(t, { BUCKETS_FILE: file, KEY: accessKeyId, SECRET: secretAccessKey, ...remotes })
  return { ...served, port: host.port, remotes }
}
