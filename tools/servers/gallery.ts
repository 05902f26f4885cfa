import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { Browser } from 'playwright-core'
import { freePort } from '../processes/free-port.ts'
import type { Scope } from '../processes/scope.ts'
import { rawRequest } from '../requests/raw-request.ts'
import { newBucket } from '../s3/s3-bucket.ts'
import { makeCertificate } from './certificate.ts'
import { type Site, startSite, temporaryFolder } from './site.ts'

/** A node behind nginx that serves a bucket of the real S3 server as `/s3/photos/`. */
export interface GallerySite extends Site {
  /** HTTPS with HTTP/2, and a certificate that signs itself. */
  readonly secureOrigin: string
  put(key: string, body: Buffer): Promise<void>
}

/** nginx limits its clients here as it limits all others; the tests' machine is no exception. */
export async function startGallerySite(t: Scope, env: Readonly<Record<string, string>> = {}): Promise<GallerySite> {
  const { bucket, endpoint, region, credentials } = await newBucket()
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  t.after(() => client.destroy())
  const folder = await temporaryFolder(t)
  const inFolder = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name)
    await writeFile(path, text)
    return path
  }
  const access = `endpoint: ${endpoint}\n    accessKeyId: $PHOTOS_KEY\n    secretAccessKey: $PHOTOS_SECRET`
  const buckets = await inFolder('buckets.yaml', `buckets:\n  photos:\n    bucket: ${bucket}\n    ${access}\n`)
  const { cert, key } = await makeCertificate({ names: ['IP:127.0.0.1'] })
  const files = [await inFolder('cert.pem', cert), await inFolder('key.pem', key)]
  const port = await freePort()
  const listen = `listen 127.0.0.1:${port} ssl http2; ssl_certificate ${files[0]}; ssl_certificate_key ${files[1]};`
  const secrets = { PHOTOS_KEY: String(credentials?.accessKeyId), PHOTOS_SECRET: String(credentials?.secretAccessKey) }
  const site = await startSite(
    t,
    { BUCKETS_FILE: buckets, ...secrets, ...env },
    { alsoListen: listen, site: { '127.0.0.1 0;': '' } },
  )
  return {
    ...site,
    secureOrigin: `https://127.0.0.1:${port}`,
    async put(name, body) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: name, Body: body }))
    },
  }
}

/** What a browser shows of a page of pictures. */
export interface Shown {
  readonly shown: number
  /** URLs of the others. */
  readonly broken: readonly string[]
  /** Of HTTP, by which the pictures came. */
  readonly protocols: readonly string[]
  /** From opening the page until the last picture was there or was given up. */
  readonly ms: number
}

export interface GalleryOptions {
  readonly withinMs: number
  /** File for a picture of the whole page. */
  readonly screenshot?: string
}

interface SeenInPage {
  readonly pictures: readonly { readonly url: string; readonly width: number }[]
  readonly protocols: readonly string[]
}

/** Opens a page that shows all of them at once. */
export async function openGallery(
  browser: Browser,
  { origin, paths }: { readonly origin: string; readonly paths: readonly string[] },
  { withinMs, screenshot }: GalleryOptions,
): Promise<Shown> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1640, height: 900 } })
  try {
    const page = await context.newPage()
    page.setDefaultTimeout(withinMs)
    const images = paths.map((path) => `<img src="${path}" alt="">`).join('')
    const style = 'img { width: 80px; height: 60px; background: red; margin: 1px }'
    const body = `<!doctype html><style>${style}</style>${images}`
    await page.route(`${origin}/gallery`, (route) => route.fulfill({ contentType: 'text/html', body }))
    const began = performance.now()
    // Until every picture has come, or will not.
    await page.goto(`${origin}/gallery`, { waitUntil: 'load' })
    const ms = performance.now() - began
    const { pictures, protocols } = await page.evaluate<SeenInPage>(`({
      pictures: [...document.images].map(({ src, naturalWidth, complete }) => ({ url: src, width: complete ? naturalWidth : 0 })),
      protocols: performance.getEntriesByType('resource')
        .filter(({ initiatorType }) => initiatorType === 'img').map(({ nextHopProtocol }) => nextHopProtocol),
    })`)
    if (screenshot !== undefined) await page.screenshot({ path: screenshot, fullPage: true })
    const broken = pictures.filter(({ width }) => width === 0).map(({ url }) => url)
    return { shown: pictures.length - broken.length, broken, protocols: [...new Set(protocols)], ms }
  } finally {
    await context.close()
  }
}

/** Asks for all of them at once, each on a connection of its own. @param from An address in 127.0.0.0/8. @returns how often each status came. */
export async function askAtOnce(
  origin: string,
  paths: readonly string[],
  from: string,
): Promise<Readonly<Record<number, number>>> {
  const answers = await Promise.all(paths.map((path) => rawRequest(origin, path, { from })))
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}
