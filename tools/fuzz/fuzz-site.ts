import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Scope } from '../processes/scope.ts'
import { fixture, uploadFixture } from '../servers/darkroom.ts'
import { startRemoteHost } from '../servers/remote-host.ts'
import { startRemoteSite } from '../servers/remote-site.ts'
import { type Site, startSite, TOKEN, temporaryFolder } from '../servers/site.ts'
import type { UrlWorld } from './any-url.ts'
import type { Published } from './fuzz-images.ts'

/** A node with everything switched on that reads something from outside, behind nginx. */
export interface FuzzSite extends Site {
  readonly world: UrlWorld
  publish(bytes: Buffer, contentType: string): Published
}

export const ALL_FORMATS = 'jpeg png webp avif gif tiff heif svg'
const BUCKET = 'pictures'

/** @param env On top. */
export async function startFuzzSite(scope: Scope, env: Readonly<Record<string, string>> = {}): Promise<FuzzSite> {
  const remote = await startRemoteSite(scope)
  const photograph = await fixture('mountains-gps.jpg')
  remote.pages.set('/a.jpg', { body: photograph })
  const site = await startSite(scope, {
    ...remote.env,
    // Spoilt files come faster than any client's pages.
    REMOTE_NEW_PER_MINUTE: '100000',
    REMOTE_NEW_PER_CLIENT: '100000',
    INPUT_FORMATS: ALL_FORMATS,
    CACHE_MAX_BYTES: '256M',
    MEMORY_CACHE_BYTES: '16M',
    DIALECTS: 'thumbor=/thumbor imgproxy=/imgproxy ipx=/ipx',
    BUCKETS_FILE: await bucketsFile(scope, photograph),
    ...env,
  })
  const id = await uploadFixture(site.node.url, 'mountains-gps.jpg', TOKEN)
  let published = 0
  return {
    ...site,
    world: { id, remote: remote.origin, bucket: BUCKET },
    publish(body, contentType) {
      published += 1
      const path = `/file-${published}`
      remote.pages.set(path, { body, headers: { 'Content-Type': contentType } })
      return { url: remote.origin + path, remove: () => void remote.pages.delete(path) }
    },
  }
}

/** A bucket with one object. What an S3 server says for sure is another test's: here it is about what is asked of it. */
async function bucketsFile(scope: Scope, photograph: Buffer): Promise<string> {
  const server = await startRemoteHost(scope, (request, response) => {
    const isThere = request.url?.replace(/\?.*/, '') === `/${BUCKET}/a.jpg`
    const headers = {
      ETag: '"1"',
      'Content-Length': isThere ? photograph.length : NO_SUCH_KEY.length,
      'Content-Type': isThere ? 'image/jpeg' : 'application/xml',
      'Last-Modified': 'Mon, 01 Jan 2024 00:00:00 GMT',
    }
    response.writeHead(isThere ? 200 : 404, headers)
    response.end(request.method === 'HEAD' ? undefined : isThere ? photograph : NO_SUCH_KEY)
  })
  const file = join(await temporaryFolder(scope), 'buckets.json')
  await writeFile(file, JSON.stringify({ buckets: { [BUCKET]: { endpoint: server.origin, anonymous: true } } }))
  return file
}

const NO_SUCH_KEY = '<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'
