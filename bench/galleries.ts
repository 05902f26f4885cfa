import { join } from 'node:path'
import pLimit from 'p-limit'
import { withComment } from '../tools/pictures/distinct-copy.ts'
import { inScope, type Scope } from '../tools/processes/scope.ts'
import { rawRequest } from '../tools/requests/raw-request.ts'
import { launchBrowser } from '../tools/servers/browser.ts'
import { fixture } from '../tools/servers/darkroom.ts'
import { askAtOnce, type GallerySite, openGallery, type Shown, startGallerySite } from '../tools/servers/gallery.ts'
import { type BenchOptions, type BenchReport, type Figure, median } from './measure.ts'
import { readPhotographs } from './render-photographs.ts'

const PICTURES = 200
const OTHERS = 1000
/** Views of each closed loop; no two of the same rendition. */
const VIEWS = 480
const PAGE_WITHIN_MS = 300_000

/**
 * Pages of pictures that no node has seen, of originals in a bucket without mezzanines: in Chromium over HTTP/2 alone and beside
 * another client, and closed loops of 8 and 64 clients. Every answer but 200 is a failure.
 */
export async function benchGalleries(options: BenchOptions): Promise<BenchReport> {
  const figures: Figure[] = []
  for (const megapixels of [12, 24]) {
    figures.push(...(await inScope((scope) => benchSize(scope, megapixels, options))))
  }
  return { figures, raw: figures }
}

async function benchSize(scope: Scope, megapixels: number, { smoke, imagesDir }: BenchOptions): Promise<Figure[]> {
  const pictures = smoke ? 20 : PICTURES
  const site = await startGallerySite(scope, { MEZZANINE_MIN_PIXELS: '0' })
  const photographs = smoke
    ? [await fixture('mountains.jpg')]
    : await readPhotographs({ folder: imagesDir, prefix: `${megapixels}mp-` })
  await putCopies(site, photographs, pictures)
  const name = (text: string) => `${megapixels} MP, ${text}`
  const figures: Figure[] = []
  if (megapixels === 12) {
    const browser = await launchBrowser(scope)
    const show = (width: number, screenshot: string) =>
      openGallery(
        browser,
        { origin: site.secureOrigin, paths: viewsOf(width, pictures, pictures) },
        { withinMs: PAGE_WITHIN_MS, ...(!smoke && { screenshot: join(imagesDir, screenshot) }) },
      )
    figures.push(...pageFigures(name('page'), await show(400, 'page-alone.png')))
    const others = askAtOnce(site.nginx.origin, viewsOf(300, pictures, smoke ? 40 : OTHERS), '127.0.0.2')
    figures.push(...pageFigures(name('page beside another client'), await show(380, 'page-beside.png')))
    const { 200: served = 0, 429: limited = 0, 503: refused = 0 } = await others
    figures.push({ name: name('the other client: pictures'), value: served, unit: 'answers' })
    figures.push({ name: name('the other client: 429'), value: limited, unit: 'answers' })
    figures.push({ name: name('the other client: 503'), value: refused, unit: 'answers' })
  }
  for (const clients of [8, 64]) {
    const loop = await closedLoop(site.nginx.origin, viewsOf(200 + clients, pictures, smoke ? 80 : VIEWS), clients)
    figures.push({ name: name(`${clients} clients: failed views`), value: loop.failed, unit: 'views', wanted: '0' })
    figures.push({ name: name(`${clients} clients: median`), value: loop.medianMs, unit: 'ms' })
    figures.push({ name: name(`${clients} clients: longest`), value: loop.longestMs, unit: 'ms' })
  }
  return figures
}

async function putCopies(site: GallerySite, photographs: readonly Buffer[], count: number): Promise<void> {
  await pLimit(4).map([...Array(count).keys()], async (index) => {
    const photograph = photographs[index % photographs.length]
    if (photograph === undefined) throw new Error('There are no photographs: npm run bench makes them')
    await site.put(`${index}.jpg`, withComment(photograph, `copy ${index}`))
  })
}

/** Paths of as many renditions, about as wide as that: each picture in turn, and no rendition twice. */
function viewsOf(width: number, pictures: number, count: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => `/s3/photos/${index % pictures}.jpg/-/${width - Math.floor(index / pictures)}w/x.jpg`,
  )
}

function pageFigures(name: string, { shown, broken, ms }: Shown): Figure[] {
  return [
    { name: `${name}: pictures shown`, value: shown, unit: 'pictures' },
    { name: `${name}: broken`, value: broken.length, unit: 'pictures', wanted: '0' },
    { name: `${name}: time`, value: ms / 1000, unit: 's' },
  ]
}

async function closedLoop(origin: string, paths: readonly string[], clients: number) {
  const times: number[] = []
  let failed = 0
  await pLimit(clients).map(paths, async (path) => {
    const began = performance.now()
    const { status } = await rawRequest(origin, path)
    times.push(performance.now() - began)
    if (status !== 200) failed += 1
  })
  return { failed, medianMs: median(times), longestMs: Math.max(...times) }
}
