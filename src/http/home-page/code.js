import { shapeOf } from './spec.js'

const PAGE_WIDTHS = [320, 480, 640, 800, 1024, 1280, 1600, 2048, 2560]
const DENSITIES = [1, 1.5, 2, 3]

/**
 * Code that shows a rendition in a page.
 *
 * @param image The record.
 * @param chosen spec: in the canonical spelling; extension: such as '.webp', or '' for negotiation; url: of the rendition.
 * @param layout kind: 'fixed' with width in CSS pixels, 'full', or 'own' with sizes; alt: text.
 * @param server origin: of this page; policy: SIZE_POLICY; steps: widths that are served with SIZE_POLICY=steps.
 * @returns texts, where picture is empty if it is impossible; isEnlarged: no URL is as wide as the layout.
 */
export function codeFor(image, chosen, layout, server) {
  const shape = shapeOf(chosen.spec, image)
  const isFree = server.policy === 'open' || server.policy === 'steps'
  const candidates = isFree
    ? freeCandidates(image, chosen, shape, onSteps(freeWidths(layout, shape), shape, server.steps))
    : offeredCandidates(image, chosen)
  const absolute = candidates.map(({ url, width }) => ({ width, url: new URL(url, server.origin).href }))
  const size = displayedSize(layout, shape)
  const attributes = { size, sizes: sizesOf(layout), alt: layout.alt }
  return {
    isEnlarged: layout.kind === 'fixed' && layout.width > absolute.at(-1).width,
    img: imgTag(absolute, attributes),
    picture: server.policy === 'signed' ? '' : pictureTag(absolute, attributes, image.alpha),
    css: cssRule(absolute, layout, size),
    markdown: `![${layout.alt.replaceAll(/[[\]\\]/g, String.raw`\$&`)}](${atLeast(absolute, size.width).url})`,
  }
}

/** @example sizesOf({ kind: 'fixed', width: 300 }) // '300px' */
function sizesOf({ kind, width, sizes }) {
  if (kind === 'full') return '100vw'
  if (kind === 'own') return sizes.trim() || '100vw'
  // Any window has room for a card; a wide column shrinks with its window.
  return width <= 320 ? `${width}px` : `(min-width: ${width}px) ${width}px, 100vw`
}

function freeWidths(layout, shape) {
  const wanted = layout.kind === 'fixed' ? DENSITIES.map((density) => Math.round(layout.width * density)) : PAGE_WIDTHS
  const largest = Math.max(...wanted)
  const widths = wanted.filter((width) => width < shape.maxWidth)
  if (shape.maxWidth <= largest) widths.push(shape.maxWidth)
  return widths
}

/**
 * The step for each width, once.
 * @param steps Ascending; empty: every width is served.
 * @returns width: of the rendition, which is not enlarged; step: in the URL.
 */
function onSteps(widths, { maxWidth }, steps) {
  const stepFor = (width) => steps.find((step) => step >= width) ?? steps.at(-1) ?? width
  return [...new Set(widths.map(stepFor))].map((step) => ({ step, width: Math.min(step, maxWidth) }))
}

function freeCandidates(image, { extension }, shape, widths) {
  const base = image.urls.record.slice(0, -`/images/${image.id}`.length)
  return widths.map(({ step, width }) => ({ width, url: `${base}/image/${image.id}/${shape.at(step)}${extension}` }))
}

/** Only URLs that the server offers: widths of the record, or the one that was chosen. */
function offeredCandidates(image, { spec, extension, url }) {
  const width = Number(/^(?<width>\d+)[ws]/.exec(spec)?.groups.width ?? image.width)
  const single = { url, width: Math.min(width, image.width) }
  if (!/^\d+w$/.test(spec)) return [single]
  const offered = image.urls.srcset.split(', ').filter((entry) => entry !== '')
  if (offered.length === 0) return [single]
  return offered.map((entry) => {
    const [, of, pixels] = /^(\S+) (\d+)w$/.exec(entry)
    return { url: of.includes('?') ? of : `${of}${extension}`, width: Number(pixels) }
  })
}

function displayedSize({ kind, width }, { ratio, maxWidth }) {
  const shown = kind === 'fixed' ? width : maxWidth
  return { width: shown, height: Math.max(1, Math.round(shown / ratio)) }
}

/** The smallest that is wide enough, else the widest. */
function atLeast(candidates, width) {
  return candidates.find((one) => one.width >= width) ?? candidates.at(-1)
}

function srcsetOf(candidates) {
  return candidates.map(({ url, width }) => `${url} ${width}w`).join(',\n    ')
}

function imgTag(candidates, { size, sizes, alt }) {
  const responsive =
    candidates.length < 2 ? '' : `\n  srcset="${attribute(srcsetOf(candidates))}"\n  sizes="${attribute(sizes)}"`
  const src = atLeast(candidates, size.width).url
  return `<img src="${attribute(src)}"${responsive}\n  ${ending(size, alt)}`
}

function ending({ width, height }, alt) {
  return `width="${width}" height="${height}" alt="${attribute(alt)}" loading="lazy" decoding="async">`
}

/** Formats from the smallest to the one that every browser reads. */
function pictureTag(candidates, { size, sizes, alt }, alpha) {
  const inFormat = (format) => candidates.map(({ url, width }) => ({ width, url: withExtension(url, format) }))
  const sources = ['avif', 'webp'].map(
    (format) =>
      `  <source type="image/${format}"\n    srcset="${attribute(srcsetOf(inFormat(format)))}"\n    sizes="${attribute(sizes)}">`,
  )
  const fallback = inFormat(alpha ? 'png' : 'jpg')
  const img = imgTag(fallback, { size, sizes, alt }).replaceAll('\n', '\n  ')
  return `<picture>\n${sources.join('\n')}\n  ${img}\n</picture>`
}

function withExtension(url, format) {
  return `${url.replace(/\.(?:avif|webp|jpg|png|gif)$/, '')}.${format}`
}

function cssRule(candidates, layout, { width, height }) {
  const basis = layout.kind === 'fixed' ? layout.width : Math.min(1280, width)
  const once = atLeast(candidates, basis)
  const twice = atLeast(candidates, 2 * basis)
  const images = [`url("${once.url}") 1x`, ...(twice.url === once.url ? [] : [`url("${twice.url}") 2x`])]
  const box = layout.kind === 'fixed' ? `width: ${width}px; max-width: 100%` : 'width: 100%'
  return `.photo {\n  ${box};\n  aspect-ratio: ${width} / ${height};\n  background: image-set(${images.join(', ')}) center / cover no-repeat;\n}`
}

function attribute(text) {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
}
