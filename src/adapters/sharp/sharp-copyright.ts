import type { Metadata, Sharp } from 'sharp'
import { captureOf } from '../../domain/info/capture.ts'
import { tidyText } from '../../domain/info/plain-value.ts'
import { readMetadata } from './metadata-reader.ts'

/** Whose picture it is. Nothing else of what an original says of itself is ever passed on. */
export interface Copyright {
  readonly copyright?: string
  readonly artist?: string
}

/**
 * Reads the copyright and the artist from EXIF, and from XMP if EXIF has none: at most 500 characters each. Malformed metadata
 * counts as absent.
 *
 * @see https://www.cipa.jp/std/documents/e/DC-008-Translation-2019-E.pdf (4.6.4 D), https://github.com/adobe/xmp-docs
 */
export function copyrightOf({ exif, xmp }: Pick<Metadata, 'exif' | 'xmp'>): Copyright {
  const capture = captureOf(readMetadata({ exif, xmp }).groups)
  // XML allows no control characters.
  const [copyright = '', artist = ''] = [capture.copyright, capture.artist].map((text) => text && tidyText(text))
  return { ...(copyright !== '' && { copyright }), ...(artist !== '' && { artist }) }
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

function list(name: string, kind: 'Alt' | 'Seq', items: string): string {
  return `<dc:${name}><rdf:${kind}>${items}</rdf:li></rdf:${kind}></dc:${name}>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
