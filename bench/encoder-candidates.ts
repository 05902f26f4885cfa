import type { AvifOptions, JpegOptions, WebpOptions } from 'sharp'
import { encode } from '../src/adapters/sharp/sharp-render.ts'
import { planEncoding } from '../src/domain/picture/encoding.ts'
import type { Candidate } from './encoder-samples.ts'

// Other services are stood for by sharp with their parameters: libvips encodes in all of them. imgproxy 4: JPEG and WebP
// 80, AVIF 50 at speed 8, which is effort 1, and 4:2:0. ipx 3: sharp's defaults, JPEG progressive, and a libheif
// whose AVIF is tuned by SSIM.
const JPEG_QUALITIES = [58, 70, 82]
const WEBP_QUALITIES = [60, 72, 84]
const AVIF_QUALITIES = [46, 57, 68]

export const CANDIDATES: readonly Candidate[] = [
  ours('jpg', JPEG_QUALITIES),
  oursPrimed('jpg', JPEG_QUALITIES),
  jpeg('imgproxy', { progressive: false }),
  jpeg('ipx', { progressive: true }),
  jpeg('mozjpeg', { mozjpeg: true }),
  ours('webp', WEBP_QUALITIES),
  oursPrimed('webp', WEBP_QUALITIES),
  webp('imgproxy and ipx', { effort: 4 }),
  webp('effort 2', { effort: 2 }),
  webp('effort 4, smart subsampling', { effort: 4, smartSubsample: true }),
  ours('avif', AVIF_QUALITIES),
  oursPrimed('avif', AVIF_QUALITIES),
  avif('imgproxy', { effort: 1, chromaSubsampling: '4:2:0' }),
  avif('ipx', { effort: 4, tune: 'ssim' }),
  avif('effort 0', { effort: 0 }),
  avif('effort 1, 10 bit', { effort: 1, bitdepth: 10 }),
]

function ours(format: Candidate['format'], qualities: readonly number[]): Candidate {
  const plan = (wish: { quality: number; pixels: number }) => planEncoding(format, wish)
  return { name: `${format}: ours`, format, qualities, encode: (image, wish) => encode(image, plan(wish)) }
}

function oursPrimed(format: Candidate['format'], qualities: readonly number[]): Candidate {
  const plan = (wish: { quality: number; pixels: number }) => planEncoding(format, { ...wish, primed: true })
  return { name: `${format}: ours, primed`, format, qualities, encode: (image, wish) => encode(image, plan(wish)) }
}

function jpeg(name: string, options: JpegOptions): Candidate {
  return {
    name: `jpg: ${name}`,
    format: 'jpg',
    qualities: JPEG_QUALITIES,
    encode: (image, { quality }) => image.jpeg({ ...options, quality }),
  }
}

function webp(name: string, options: WebpOptions): Candidate {
  return {
    name: `webp: ${name}`,
    format: 'webp',
    qualities: WEBP_QUALITIES,
    encode: (image, { quality }) => image.webp({ ...options, quality }),
  }
}

function avif(name: string, options: AvifOptions): Candidate {
  return {
    name: `avif: ${name}`,
    format: 'avif',
    qualities: AVIF_QUALITIES,
    encode: (image, { quality }) => image.avif({ ...options, quality }),
  }
}
