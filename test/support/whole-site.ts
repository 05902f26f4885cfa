import type { TestContext } from 'node:test'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { type FaultProxy, startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import type { RemoteHostServer } from '../../tools/servers/remote-host.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { type Site, startSite, TOKEN } from '../../tools/servers/site.ts'
import { writeBucketsFile } from './buckets-file.ts'

export const EVENT_TOKEN = 'an-event-token-for-tests-only'

/** A node that does everything it can, behind nginx and a front. */
export interface WholeSite extends Site {
  /** The node, its nginx and the front. */
  readonly origins: Readonly<Record<'node' | 'nginx' | 'front', string>>
  /** Before the store, and before the bucket `photos`. */
  readonly proxy: FaultProxy
  /** `/a.jpg` is a photograph. */
  readonly remote: RemoteHostServer
  readonly remoteUrl: string
  /** Of the same photograph, uploaded. */
  readonly id: string
  /** What must not get out: the bucket's name and credentials. */
  readonly secrets: readonly string[]
  /** A picture 40 pixels wide, in each grammar. */
  readonly pictures: Readonly<Record<string, string>>
}

/** What stands before every store and remote host of today: none of it is for our clients. */
export const FOREIGN_HEADERS = {
  'Set-Cookie': 'session=stolen',
  'X-Secret': 'of-the-store',
  'Content-Disposition': 'attachment; filename="evil.html"',
  'Content-Security-Policy': "default-src * 'unsafe-inline'",
  'Content-Language': 'tlh',
  Link: '<https://evil.example/>; rel=preload',
  Refresh: '0; url=https://evil.example/',
  'Access-Control-Allow-Credentials': 'true',
  'Access-Control-Expose-Headers': 'X-Secret',
  'Strict-Transport-Security': 'max-age=1',
  'X-Accel-Redirect': '/_renditions/../originals/secret',
  'X-Accel-Expires': '1',
  'X-Darkroom-Cache-Control': 'public, max-age=1',
  'X-Powered-By': 'a store',
  'Clear-Site-Data': '"*"',
  'Alt-Svc': 'h2="evil.example:443"',
} as const

export async function startWholeSite(
  t: TestContext,
  env: Readonly<Record<string, string>> = {},
  directHits = true,
): Promise<WholeSite> {
  const { bucket, endpoint, region, credentials } = await newBucket()
  const { accessKeyId = '', secretAccessKey = '' } = credentials ?? {}
  const photograph = await fixture('mountains.jpg')
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'mine/a b.jpg', Body: photograph }))
  client.destroy()
  const proxy = await startFaultProxy({ target: endpoint })
  await proxy.setFault({ kind: 'headers', headers: FOREIGN_HEADERS })
  const { env: remoteEnv, host: remote, origin, pages } = await startRemoteSite(t)
  pages.set('/a.jpg', { body: photograph, headers: { ...FOREIGN_HEADERS, 'Cache-Control': 'max-age=600' } })
  pages.set('/none.jpg', { body: photograph, status: 404, headers: FOREIGN_HEADERS })
  const keys = { accessKeyId: '$AWS_ACCESS_KEY_ID', secretAccessKey: '$AWS_SECRET_ACCESS_KEY' }
  const file = await writeBucketsFile(t, {
    photos: { bucket, endpoint: proxy.endpoint, keyPrefix: 'mine/', ...keys },
  })
  const site = await startSite(
    t,
    {
      ...remoteEnv,
      STORE: `s3://${bucket}`,
      S3_ENDPOINT: proxy.endpoint,
      S3_REGION: region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      BUCKETS_FILE: file,
      EVENT_TOKENS: EVENT_TOKEN,
      DIALECTS: 'thumbor=/thumbor imgproxy=/imgproxy ipx=/ipx',
      ...env,
    },
    { directHits },
  )
  t.after(() => proxy.stop())
  const id = await uploadFixture(site.url, 'mountains.jpg', TOKEN)
  const remoteUrl = `${origin}/a.jpg`
  return {
    ...site,
    origins: { node: site.node.url, nginx: site.nginx.origin, front: site.nginx.frontOrigin },
    proxy,
    remote,
    remoteUrl,
    id,
    secrets: [bucket, accessKeyId, secretAccessKey, TOKEN, EVENT_TOKEN],
    pictures: {
      upload: `/image/${id}/40w/x.jpg`,
      negotiated: `/image/${id}/40w`,
      object: '/s3/photos/mine/a%20b.jpg/-/40w/x.jpg',
      remote: `/image?url=${encodeURIComponent(remoteUrl)}&size=40w&format=jpg`,
      rethumb: `/v1/width/40/format/jpg/${remoteUrl}`,
      thumbor: `/thumbor/unsafe/40x0/filters:format(jpg)/${remoteUrl}`,
      imgproxy: `/imgproxy/insecure/w:40/plain/${remoteUrl}@jpg`,
      ipx: `/ipx/w_40,f_jpg/${remoteUrl}`,
    },
  }
}
