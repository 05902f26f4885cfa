import type { Metadata, Sharp } from 'sharp'

/** Whose picture it is. Nothing else of what an original says of itself is ever passed on. */
export interface Copyright {
  readonly copyright?: string
  readonly artist?: string
}

/** Longer ones are cut: each rendition carries them. */
const MAX_LENGTH = 500

/**
 * Reads the two from EXIF, and where it lacks one from XMP. What is not as it should be counts as absent.
 *
 * @see https://www.cipa.jp/std/documents/e/DC-008-Translation-2019-E.pdf (4.6.4 D), https://github.com/adobe/xmp-docs
 */
export function copyrightOf({ exif, xmp }: Pick<Metadata, 'exif' | 'xmp'>): Copyright {
  const texts = exif === undefined ? new Map<number, string>() : firstDirectory(exif)
  const packet = xmp?.subarray(0, XMP_BYTES).toString('utf8') ?? ''
  const copyright = clean(texts.get(COPYRIGHT)) ?? clean(fromXmp(packet, 'rights'))
  const artist = clean(texts.get(ARTIST)) ?? clean(fromXmp(packet, 'creator'))
  return { ...(copyright !== undefined && { copyright }), ...(artist !== undefined && { artist }) }
}

/**
 * Has them written into the encoded picture, and nothing else. As XMP, in UTF-8: EXIF is ASCII, and libvips would write the
 * original's orientation with it, so that viewers would turn the upright picture once more. GIF has no place for them.
 */
export function withCopyright(image: Sharp, { copyright, artist }: Copyright): Sharp {
  if (copyright === undefined && artist === undefined) return image
  const rights =
    copyright === undefined ? '' : list('rights', 'Alt', `<rdf:li xml:lang="x-default">${escape(copyright)}`)
  const creator = artist === undefined ? '' : list('creator', 'Seq', `<rdf:li>${escape(artist)}`)
  return image.withXmp(
    `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">${rights}${creator}</rdf:Description></rdf:RDF></x:xmpmeta>`,
  )
}

const COPYRIGHT = 0x8298
const ARTIST = 0x013b
const ASCII = 2
const ENTRY_BYTES = 12
const XMP_BYTES = 64 * 1024

/** The texts of the first directory, which holds no place and no time. */
function firstDirectory(exif: Buffer): Map<number, string> {
  const tiff = exif.toString('latin1', 0, 6) === 'Exif\0\0' ? exif.subarray(6) : exif
  const texts = new Map<number, string>()
  const order = tiff.toString('latin1', 0, 2)
  if (tiff.length < 8 || (order !== 'II' && order !== 'MM')) return texts
  const read16 = (at: number) =>
    at + 2 > tiff.length ? 0 : order === 'II' ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at)
  const read32 = (at: number) =>
    at + 4 > tiff.length ? 0 : order === 'II' ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at)
  const start = read32(4)
  const entries = read16(start)
  for (let entry = 0; entry < entries; entry += 1) {
    const at = start + 2 + entry * ENTRY_BYTES
    if (at + ENTRY_BYTES > tiff.length) break
    if (read16(at + 2) !== ASCII) continue
    const length = read32(at + 4)
    const from = length <= 4 ? at + 8 : read32(at + 8)
    texts.set(read16(at), tiff.toString('utf8', from, Math.min(from + length, from + MAX_LENGTH * 4)))
  }
  return texts
}

function fromXmp(packet: string, name: 'rights' | 'creator'): string | undefined {
  const start = packet.indexOf(`<dc:${name}`)
  const end = start < 0 ? -1 : packet.indexOf(`</dc:${name}`, start)
  if (end < 0) return undefined
  const item = /<rdf:li[^>]*>(?<text>[^<]*)/.exec(packet.slice(start, end))?.groups?.['text']
  return item?.replaceAll(/&(?:lt|gt|quot|apos|amp);/g, (entity) => ENTITIES.get(entity) ?? '')
}

const ENTITIES = new Map([
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&apos;', "'"],
  ['&amp;', '&'],
])

/** EXIF divides a photographer's from an editor's copyright by a zero, and ends in one. */
function clean(text: string | undefined): string | undefined {
  const parts = (text ?? '').split('\0').map((part) => part.replaceAll(/\p{Cc}/gu, ' ').trim())
  const joined = parts.filter((part) => part !== '').join(', ')
  return joined === '' ? undefined : joined.slice(0, MAX_LENGTH)
}

function list(name: string, kind: 'Alt' | 'Seq', items: string): string {
  return `<dc:${name}><rdf:${kind}>${items}</rdf:li></rdf:${kind}></dc:${name}>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
