// What a rendition costs at the least: sharp behind node:http, and nothing else. It keeps nothing and checks nothing.
// usage: PORT=… IMAGES=<folder, or URL such as http://127.0.0.1:9000/bucket> node bench/bare-sharp.ts
//        then GET /<file>?width=400&height=300&q=80&format=webp      without q: the service's quality; without format: JPEG
//        or   GET /<file>?decode      decodes all pixels and answers their number of bytes
import { Agent, createServer, get } from 'node:http'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import pLimit from 'p-limit'
import sharp from 'sharp'
import { encode } from '../src/adapters/sharp/sharp-render.ts'
import { planEncoding } from '../src/domain/picture/encoding.ts'

const images = process.env.IMAGES ?? '.'
const agent = new Agent({ keepAlive: true })
// As in the service: see src/adapters/sharp/sharp-engine.ts and RENDER_CONCURRENCY.
sharp.cache(false)
sharp.concurrency(1)
const limit = pLimit(availableParallelism())

/** A path, or the bytes of an original that another server has. */
async function open(path: string): Promise<string | Buffer> {
  if (!images.startsWith('http:')) return join(images, path)
  return await new Promise((resolve, reject) => {
    get(`${images}${path}`, { agent }, (response) => {
      if (response.statusCode === 200) buffer(response).then(resolve, reject)
      else reject(new Error(`${images}${path} answered ${response.statusCode}`))
    }).on('error', reject)
  })
}

async function render(original: string | Buffer, query: URLSearchParams): Promise<Buffer> {
  const picture = sharp(original, { failOn: 'truncated', sequentialRead: true })
  if (query.has('decode')) return Buffer.from(String((await picture.raw().toBuffer()).length))
  const size = { width: Number(query.get('width')), height: Number(query.get('height')) }
  const quality = query.has('q') ? { quality: Number(query.get('q')) } : {}
  const wish = { pixels: size.width * size.height, ...quality }
  return await encode(picture.resize({ ...size, fit: 'fill' }), planEncoding(formatOf(query), wish)).toBuffer()
}

function formatOf(query: URLSearchParams): 'jpg' | 'webp' | 'avif' {
  const format = query.get('format')
  return format === 'webp' || format === 'avif' ? format : 'jpg'
}

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  open(pathname)
    .then((original) => limit(render, original, searchParams))
    .then(
      (bytes) => response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes),
      () => response.writeHead(500).end(),
    )
})
server.listen(Number(process.env.PORT), '127.0.0.1')
