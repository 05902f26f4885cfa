import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import type { Difference } from '../../tools/pictures/difference.ts'
import { type Raster, toSharp } from '../../tools/pictures/raster.ts'
import type { GoldenCase } from './golden-case.ts'

/** A case and what came of it. */
export interface Exhibit {
  readonly golden: GoldenCase
  readonly rendition: Raster
  readonly reference: Raster
  readonly apart: Difference
  readonly sizeBytes: number
}

const ROOT = join(import.meta.dirname, '../../artifacts/golden')
const COLUMNS = 5
const TILE = { width: 344, height: 200 } as const
const PICTURE = { width: 160, height: 160 } as const

/**
 * Writes every rendition next to its reference: a page, and one picture of it all.
 *
 * @returns the path of the page.
 */
export async function writeContactSheet(exhibits: readonly Exhibit[]): Promise<string> {
  await rm(ROOT, { recursive: true, force: true })
  await mkdir(ROOT, { recursive: true })
  for (const [index, { rendition, reference }] of exhibits.entries()) {
    await toSharp(rendition)
      .png()
      .toFile(join(ROOT, `${index}-rendition.png`))
    await toSharp(reference)
      .png()
      .toFile(join(ROOT, `${index}-reference.png`))
  }
  const page = join(ROOT, 'index.html')
  await writeFile(page, html(exhibits))
  await writePicture(exhibits, join(ROOT, 'sheet.png'))
  return page
}

function caption({ golden: { name, spec, format }, apart, sizeBytes }: Exhibit): readonly string[] {
  const figures = `dE ${apart.deltaE.toFixed(2)} (shift ${apart.shift.toFixed(2)}), SSIM ${apart.ssim.toFixed(4)}`
  return [name, `${spec}.${format}, ${sizeBytes} bytes`, figures]
}

function html(exhibits: readonly Exhibit[]): string {
  const groups = [...new Set(exhibits.map(({ golden }) => golden.group))]
  const figure = (exhibit: Exhibit, index: number) =>
    `<figure><img src="${index}-rendition.png" alt="rendition"><img src="${index}-reference.png" alt="reference">
    <figcaption>${caption(exhibit).map(escapeHtml).join('<br>')}</figcaption></figure>`
  const sections = groups.map((group) => {
    const figures = exhibits.flatMap((exhibit, index) => (exhibit.golden.group === group ? figure(exhibit, index) : []))
    return `<h2>${escapeHtml(group)}</h2>${figures.join('')}`
  })
  return `<!doctype html><meta charset="utf-8"><title>Renditions and their references</title><style>
  body { font: 14px sans-serif; background: #ddd repeating-conic-gradient(#ccc 0 25%, #ddd 0 50%) 0 0 / 16px 16px }
  figure { display: inline-block; margin: 8px; vertical-align: top } figcaption { background: #eee; max-width: 340px }
  img { margin-right: 8px; max-width: 400px }</style>
  <h1>Renditions, and right of each its reference</h1>${sections.join('')}`
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

async function writePicture(exhibits: readonly Exhibit[], path: string): Promise<void> {
  const rows = Math.ceil(exhibits.length / COLUMNS)
  const size = { width: COLUMNS * TILE.width, height: rows * TILE.height }
  const tiles = exhibits.map(async (exhibit, index) => {
    const left = (index % COLUMNS) * TILE.width
    const top = Math.floor(index / COLUMNS) * TILE.height
    const pictures = [exhibit.rendition, exhibit.reference].map(async (raster, column) => ({
      input: await toSharp(raster)
        .resize({ ...PICTURE, fit: 'inside', kernel: raster.width < 120 ? 'nearest' : 'lanczos3' })
        .png()
        .toBuffer(),
      left: left + column * (PICTURE.width + 8),
      top,
    }))
    const text = {
      text: caption(exhibit).map(escapeHtml).join('\n'),
      font: 'sans 8',
      dpi: 96,
      width: TILE.width - 8,
      rgba: true,
    }
    const label = { input: await sharp({ text }).png().toBuffer(), left, top: top + PICTURE.height + 2 }
    return [...(await Promise.all(pictures)), label]
  })
  const ground = { ...size, channels: 3, background: '#cfd8cf' } as const
  await sharp({ create: ground })
    .composite((await Promise.all(tiles)).flat())
    .png()
    .toFile(path)
}
