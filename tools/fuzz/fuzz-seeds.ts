import sharp from 'sharp'
import { wellDescribed } from '../pictures/metadata.ts'
import { fixture } from '../servers/darkroom.ts'

/** A sound file to be spoilt. */
export interface FuzzSeed {
  readonly name: string
  readonly contentType: string
  readonly bytes: Buffer
}

const DRAWING = `<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="160" height="120" viewBox="0 0 160 120">
<defs><linearGradient id="g"><stop offset="0" stop-color="#f00"/><stop offset="1" stop-color="#00f"/></linearGradient>
<filter id="f"><feGaussianBlur stdDeviation="3"/><feOffset dx="2" dy="2"/></filter>
<pattern id="p" width="10" height="10" patternUnits="userSpaceOnUse"><circle cx="5" cy="5" r="3"/></pattern></defs>
<rect width="160" height="120" fill="url(#g)"/><g filter="url(#f)"><circle cx="60" cy="60" r="40" fill="url(#p)"/></g>
<path d="M10 10 L 50 90 Q 80 20 120 100 Z" stroke="#0f0" stroke-width="3" transform="rotate(10 80 60) scale(0.9)"/>
<text x="20" y="60" font-size="20">Darkroom</text><use xlink:href="#p" x="30"/></svg>`

/**
 * Small pictures of every format and of most ways to write it, made of the fixtures, and the fixtures that no encoder here
 * writes. The same files in every run, as long as the encoders are.
 */
export async function fuzzSeeds(): Promise<readonly FuzzSeed[]> {
  const photograph = await fixture('mountains.jpg')
  const alpha = await fixture('fig-alpha.png')
  const animation = await fixture('dandelion.gif')
  const still = () => sharp(photograph).resize(160)
  const clear = () => sharp(alpha).resize(120)
  const moving = () => sharp(animation, { pages: -1 }).resize(80)
  const made = {
    'jpeg baseline': still().jpeg(),
    'jpeg progressive': still().jpeg({ progressive: true, chromaSubsampling: '4:4:4' }),
    'jpeg grey': still().grayscale().jpeg(),
    'png alpha': clear().png(),
    'png interlaced': clear().png({ progressive: true }),
    'png palette': clear().png({ palette: true }),
    'png deep': still().toColourspace('rgb16').withIccProfile('p3').png(),
    'webp lossy': still().webp(),
    'webp alpha': clear().webp(),
    'webp lossless': clear().webp({ lossless: true }),
    'webp animated': moving().webp({ effort: 1 }),
    'gif still': still().gif(),
    'gif animated': moving().gif(),
    'avif lossy': still().avif({ effort: 1 }),
    'avif alpha': clear().avif({ effort: 1, chromaSubsampling: '4:2:0' }),
    'tiff lzw': clear().tiff({ compression: 'lzw' }),
    'tiff deflate': still().tiff({ compression: 'deflate', predictor: 'horizontal' }),
    'tiff jpeg': still().tiff({ compression: 'jpeg', tile: true, pyramid: true }),
    'tiff fax': still().threshold().toColourspace('b-w').tiff({ compression: 'ccittfax4', bitdepth: 1 }),
  } as const
  const files: FuzzSeed[] = []
  for (const [name, image] of Object.entries(made)) {
    files.push({ name, contentType: `image/${name.replace(/ .*/, '')}`, bytes: await image.toBuffer() })
  }
  const small = await still().jpeg().toBuffer()
  return [
    ...files,
    { name: 'jpeg described', contentType: 'image/jpeg', bytes: await wellDescribed(small) },
    { name: 'jpeg cmyk', contentType: 'image/jpeg', bytes: await fixture('fig-cmyk.jpg') },
    { name: 'heif hevc', contentType: 'image/heic', bytes: await fixture('mountains.heic') },
    { name: 'svg', contentType: 'image/svg+xml', bytes: Buffer.from(DRAWING) },
  ]
}
