import { DOMParser } from '@xmldom/xmldom'
import ExifReader from 'exifreader'
import type { Metadata, Sharp } from 'sharp'
import { captureOf, type MetadataGroups, type Place, parsePlace, parseXmpPlace } from '../../domain/info/capture.ts'
import { type PlainGroup, type PlainValue, tidyText } from '../../domain/info/plain-value.ts'

/** Metadata blocks of a file, as stored. */
export interface MetadataBlocks {
  readonly exif?: Buffer | undefined
  /** The Photoshop block of a JPEG. */
  readonly iptc?: Buffer | undefined
  readonly xmp?: Buffer | undefined
  readonly icc?: Buffer | undefined
}

/** Neither bounded nor cleaned: any content within the size limits of the blocks. */
export interface ReadMetadata {
  readonly groups: MetadataGroups
  /** Whether a block was too large to be read. */
  readonly cut: boolean
  readonly place?: Place
  readonly iccProfile?: string
}

/**
 * The EXIF of a camera has a few kilobytes, or tens with a thumbnail; a JPEG segment has at most 64 KiB. Larger blocks
 * are ignored.
 */
const MAX_EXIF_BYTES = 256 * 1024
const MAX_SEGMENT_BYTES = 65_533
/** A profile for printing has half a megabyte. */
const MAX_ICC_BYTES = 4 * 1024 * 1024

/**
 * Reads EXIF, IPTC, XMP and the profile's name. Malformed and oversized blocks count as absent: they say nothing about
 * the picture. The only importer of ExifReader and its XML parser.
 */
export function readMetadata({ exif, iptc, xmp, icc }: MetadataBlocks): ReadMetadata {
  const tiff = exif === undefined || isLonger(exif, MAX_EXIF_BYTES) ? undefined : tiffOf(exif)
  const ofExif = tiff && load(tiff, { exif: true, gps: true })
  const rest = load(jpegOf([...iptcSegments(iptc), ...xmpSegments(xmp), ...iccSegments(icc)]), {
    iptc: true,
    xmp: true,
    icc: true,
  })
  const { Latitude: latitude, Longitude: longitude, Altitude: altitude } = ofExif?.gps ?? {}
  const place = parsePlace(latitude, longitude, altitude) ?? placeOfXmp(rest?.xmp)
  const iccProfile = rest?.icc?.['ICC Description']?.description
  return {
    groups: {
      exif: toGroup(ofExif?.exif, exifValue),
      iptc: toGroup(rest?.iptc, iptcValue),
      xmp: toGroup(rest?.xmp, xmpValue),
    },
    cut: isLonger(exif, MAX_EXIF_BYTES) || isLonger(iptc, MAX_SEGMENT_BYTES) || isLonger(xmp, MAX_XMP_BYTES),
    ...(place && { place }),
    ...(typeof iccProfile === 'string' && { iccProfile }),
  }
}

/** Some editors and phones write the location only here. */
function placeOfXmp(xmp: unknown): Place | undefined {
  const text = (name: string): unknown => (isRecord(xmp) ? valueOf(xmp[name]) : undefined)
  return parseXmpPlace({
    latitude: text('GPSLatitude'),
    longitude: text('GPSLongitude'),
    altitude: text('GPSAltitude'),
    altitudeRef: text('GPSAltitudeRef'),
  })
}

type Wanted = Partial<Record<'exif' | 'iptc' | 'xmp' | 'icc' | 'gps', true>>

/** Maker notes and thumbnails are not parsed. @returns undefined if it is malformed as a whole. */
function load(file: Buffer, includeTags: Wanted) {
  // Silenced: by default it writes to the console.
  const domParser = new DOMParser({ onError: onXmlError })
  try {
    return ExifReader.load(file, { expanded: true, computed: true, includeTags, domParser })
  } catch {
    // It throws errors of all kinds for malformed input, and cannot fail otherwise.
    return undefined
  }
}

function onXmlError(level: 'warning' | 'error' | 'fatalError', message: string): void {
  if (level !== 'warning') throw new SyntaxError(message)
}

function isLonger(block: Buffer | undefined, maxBytes: number): boolean {
  return block !== undefined && block.length > maxBytes
}

function tiffOf(exif: Buffer): Buffer {
  return exif.toString('latin1', 0, 6) === 'Exif\0\0' ? exif.subarray(6) : exif
}

interface Segment {
  readonly marker: number
  readonly content: Buffer
}

/** The header of a JPEG without a picture: the only form in which the reader accepts all three together. */
function jpegOf(segments: readonly Segment[]): Buffer {
  const parts = segments.map(({ marker, content }) => {
    const head = Buffer.from([0xff, marker, 0, 0])
    head.writeUInt16BE(content.length + 2, 2)
    return Buffer.concat([head, content])
  })
  return Buffer.concat([Buffer.from([0xff, 0xd8]), ...parts, Buffer.from([0xff, 0xda, ...Buffer.alloc(16)])])
}

function iptcSegments(iptc: Buffer | undefined): Segment[] {
  const isPhotoshops = iptc?.toString('latin1', 0, PHOTOSHOP.length) === PHOTOSHOP
  return iptc && isPhotoshops && !isLonger(iptc, MAX_SEGMENT_BYTES) ? [{ marker: 0xed, content: iptc }] : []
}

/**
 * Without its wrapper, on which the reader's regular expressions could take minutes, and only without entity
 * declarations, which XMP does not need.
 */
function xmpSegments(xmp: Buffer | undefined): Segment[] {
  if (xmp === undefined || isLonger(xmp, MAX_XMP_BYTES)) return []
  const packet = xmp.toString('latin1').replaceAll(/<\?xpacket[^>]*>/g, '')
  const content = Buffer.from(`${XMP}${packet}`, 'latin1')
  return /<!(?:DOCTYPE|ENTITY)|<\?xpacket/i.test(packet) ? [] : [{ marker: 0xe1, content }]
}

function iccSegments(icc: Buffer | undefined): Segment[] {
  if (icc === undefined || isLonger(icc, MAX_ICC_BYTES)) return []
  const count = Math.ceil(icc.length / ICC_CHUNK_BYTES)
  return Array.from({ length: count }, (_, index) => {
    const chunk = icc.subarray(index * ICC_CHUNK_BYTES, (index + 1) * ICC_CHUNK_BYTES)
    return { marker: 0xe2, content: Buffer.concat([Buffer.from(ICC), Buffer.from([index + 1, count]), chunk]) }
  })
}

const PHOTOSHOP = 'Photoshop 3.0\0'
const XMP = 'http://ns.adobe.com/xap/1.0/\0'
const ICC = 'ICC_PROFILE\0'
const MAX_XMP_BYTES = MAX_SEGMENT_BYTES - XMP.length
const ICC_CHUNK_BYTES = MAX_SEGMENT_BYTES - ICC.length - 2

function toGroup(tags: unknown, convert: (tag: unknown) => PlainValue | undefined): PlainGroup {
  if (!isRecord(tags)) return {}
  const members = Object.entries(tags).flatMap(([name, tag]) => {
    const value = convert(tag)
    return value === undefined ? [] : [[name, value] as const]
  })
  return Object.fromEntries(members)
}

/** The reader's placeholder for a value beyond the end of the block. */
const FAULTY = '<faulty value>'

/** Rationals exactly, as `1/250`; values of a byte type as the text that the reader decodes. */
function exifValue(tag: unknown): PlainValue | undefined {
  if (!isRecord(tag)) return undefined
  const { value, description, computed } = tag
  if (typeof value === 'number') return value
  if (!Array.isArray(value) || value.includes(FAULTY)) return undefined
  if (isPair(value) && (typeof computed === 'number' || computed === null)) return rational(value)
  if (value.length > 0 && value.every(isPair)) return value.map(rational)
  if (value.length > 0 && value.every((item) => typeof item === 'string')) return joined(value)
  if (typeof description === 'string' && description !== value.join(', ')) return description
  return value.every((item) => typeof item === 'number') ? value : undefined
}

function iptcValue(tag: unknown): PlainValue | undefined {
  if (Array.isArray(tag)) return tag.flatMap((item) => iptcValue(item) ?? [])
  return isRecord(tag) && typeof tag['description'] === 'string' ? tag['description'] : undefined
}

/** Texts, lists of texts, and translations. Structures are omitted: their members have no allow-list. */
function xmpValue(tag: unknown): PlainValue | undefined {
  const value = valueOf(tag)
  if (!Array.isArray(value)) return typeof value === 'string' ? value : undefined
  const texts = value.flatMap((item: unknown) => {
    const text = valueOf(item)
    return typeof text === 'string' ? [[languageOf(item) ?? '', text] as const] : []
  })
  if (texts.length === 0 || texts.some(([language]) => language === '')) return texts.map(([, text]) => text)
  const [first] = texts
  return texts.length === 1 && first?.[0] === 'x-default' ? first[1] : Object.fromEntries(texts)
}

function valueOf(tag: unknown): unknown {
  return isRecord(tag) ? tag['value'] : undefined
}

function languageOf(item: unknown): string | undefined {
  const attributes = isRecord(item) ? item['attributes'] : undefined
  const language = isRecord(attributes) ? attributes['lang'] : undefined
  return typeof language === 'string' ? language : undefined
}

function rational([numerator, denominator]: readonly [number, number]): string {
  return `${numerator}/${denominator}`
}

/** EXIF separates the photographer's and the editor's copyright by a zero. */
function joined(texts: readonly string[]): string {
  return texts
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .join(', ')
}

function isPair(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every((item) => typeof item === 'number')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The rights in a picture: the only metadata that renditions may carry. */
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
  // XML does not allow control characters.
  const [copyright = '', artist = ''] = [capture.copyright, capture.artist].map((text) => text && tidyText(text))
  return { ...(copyright !== '' && { copyright }), ...(artist !== '' && { artist }) }
}

/**
 * Writes only these into the rendition, as XMP in UTF-8: EXIF is ASCII, and libvips would also write the original's
 * orientation, so that viewers would rotate the upright picture again. GIF does not support it.
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
