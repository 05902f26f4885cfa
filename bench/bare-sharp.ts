// What a rendition costs at the least: sharp behind node:http, and nothing else. It keeps nothing and checks nothing.
// usage: PORT=… IMAGES=<folder> node bench/bare-sharp.ts      then GET /<file>?width=400&height=300&q=80
import { createServer } from 'node:http'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import pLimit from 'p-limit'
import sharp from 'sharp'
import { encode } from '../src/adapters/sharp/sharp-render.ts'
import { planEncoding } from '../src/domain/picture/encoding.ts'

const folder = process.env.IMAGES ?? '.'
// As in the service: see src/adapters/sharp/sharp-engine.ts and RENDER_CONCURRENCY.
sharp.cache(false)
sharp.concurrency(1)
const limit = pLimit(availableParallelism())

async function render(path: string, size: { width: number; height: number }, quality: number): Promise<Buffer> {
  const resized = sharp(path, { failOn: 'truncated', sequentialRead: true }).resize({ ...size, fit: 'fill' })
  return await encode(resized, planEncoding('jpg', { pixels: size.width * size.height, quality })).toBuffer()
}

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const number = (name: string) => Number(searchParams.get(name))
  const size = { width: number('width'), height: number('height') }
  limit(render, join(folder, pathname), size, number('q')).then(
    (bytes) => response.writeHead(200, { 'Content-Type': 'image/jpeg', 'Content-Length': bytes.length }).end(bytes),
    () => response.writeHead(500).end(),
  )
})
server.listen(Number(process.env.PORT), '127.0.0.1')
