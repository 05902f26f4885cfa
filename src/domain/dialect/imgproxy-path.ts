import { isOneOf } from '../access/signature.ts'
import type { OutputFormat } from '../spec/image-format.ts'
import type { Fit, Position } from '../spec/spec-option.ts'
import { invalidPath } from '../text/path-text.ts'
import {
  base64Decode,
  type DialectRequest,
  dialectFormat,
  type ImgproxySigning,
  imgproxySignatures,
  malformed,
  notDone,
  percentDecode,
  signatureInvalid,
} from './dialect.ts'
import { settleSpec, type Wish } from './dialect-spec.ts'
import { type ImgproxyGravity, type ImgproxyOptions, readImgproxyOption } from './imgproxy-options.ts'

/** Without keys URLs are not signed, and the signature can be any word, such as `insecure`. */
export type ImgproxySettings = ImgproxySigning

/**
 * Reads a URL of imgproxy.
 *
 * ```
 * path   = "/" signature *( "/" option ) "/" source
 * option = name *( ":" argument )
 * source = "plain/" percent-encoded [ "@" ext ] | base64url-with-slashes-anywhere [ "." ext ]
 * ```
 *
 * @param target Path below the mount, with its leading slash, as sent; a query is ignored.
 * @throws RequestError `invalid_path` naming the invalid or unsupported part, `signature_invalid`.
 * @see https://docs.imgproxy.net/usage/processing
 */
export function parseImgproxyPath(target: string, settings: ImgproxySettings): DialectRequest {
  const [path = ''] = target.split('?', 1)
  const { signature, rest } = /^\/(?<signature>[^/]*)(?<rest>\/.*)$/s.exec(path)?.groups ?? {}
  if (signature === undefined || rest === undefined) {
    throw invalidPath('Malformed path: use /{signature}/{options}/{source}, with "insecure" for an absent signature')
  }
  assertSigned(signature, rest, settings)
  const segments = rest.slice(1).split('/')
  const optionCount = segments.findIndex((segment) => !percentDecode(segment).includes(':'))
  if (optionCount < 0) throw invalidPath('The source is missing: end the path with "plain/…" or a base64url source')
  let options: ImgproxyOptions = {}
  for (const segment of segments.slice(0, optionCount)) {
    options = { ...options, ...readImgproxyOption(percentDecode(segment)) }
  }
  const { source, format } = readSource(segments.slice(optionCount))
  return {
    source,
    spec: settleSpec(readWish(options)),
    format: format ?? options.format ?? 'source',
    ...(options.expires !== undefined && { expires: options.expires }),
    ...(options.attachment && { attachment: true }),
    ...(options.fileName !== undefined && options.fileName !== '' && { fileName: options.fileName }),
  }
}

function assertSigned(signature: string, rest: string, settings: ImgproxySettings): void {
  if (settings.keys.length === 0) {
    // Without the signature the first option would be taken for it, and the picture would be wrong.
    if (/^[\w-]+$/.test(signature) && signature !== 'plain') return
    throw malformed(
      signature,
      'the path should start with a signature, or with "insecure" if signatures are not required',
    )
  }
  const signatures = [rest, withBothSlashes(rest)].flatMap((path) => imgproxySignatures(path, settings))
  if (!isOneOf(signature, signatures)) throw signatureInvalid()
}

/** Proxies merge slashes; the signed text had both. */
function withBothSlashes(path: string): string {
  return path.replace(/(?<=\/plain\/[a-z][a-z0-9+.-]*):\/(?=[^/])/i, '://')
}

interface Source {
  readonly source: string
  readonly format?: OutputFormat
}

function readSource(segments: readonly string[]): Source {
  const [first = '', ...others] = segments
  if (first === 'enc') throw notDone('enc/', 'give the source as "plain/…" or in base64url')
  if (first !== 'plain') return readEncodedSource(segments.join(''))
  const [text = '', extension = '', ...more] = others.join('/').split('@')
  if (more.length > 0) throw malformed(others.join('/'), 'encode "@" in a plain source as %40')
  if (text === '') throw invalidPath('The source after "plain/" is missing')
  const source = percentDecode(text).replace(/^([a-z][a-z0-9+.-]*):\/(?=[^/])/i, '$1://')
  return { source, ...(extension !== '' && { format: dialectFormat(extension, `@${extension}`) }) }
}

function readEncodedSource(text: string): Source {
  const [encoded = '', extension = '', ...more] = text.split('.')
  if (more.length > 0) throw malformed(text, 'a base64url source should have at most one dot, before the format')
  if (encoded === '') throw invalidPath('The source is missing: end the path with "plain/…" or a base64url source')
  const source = base64Decode(encoded)
  return { source, ...(extension !== '' && { format: dialectFormat(extension, `.${extension}`) }) }
}

function readWish(options: ImgproxyOptions): Wish {
  const { width = 0, height = 0, dpr = 1, enlarge = false, rotate = 0 } = options
  const { flipHorizontal = false, flipVertical = false } = options
  if (dpr !== 1 && width === 0 && height === 0) throw notDone(`dpr:${dpr}`, 'dpr requires a width or a height')
  if (rotate % 180 !== 0 && flipHorizontal !== flipVertical) {
    throw notDone('flip', 'flip cannot be combined with a rotation of 90 or 270 degrees')
  }
  const { fit, position } = readFit(options, width !== 0 && height !== 0)
  return {
    width,
    height,
    fit,
    position,
    dpr,
    quality: options.quality,
    up: enlarge,
    background: options.background,
    rotate,
    flip: flipVertical,
    flop: flipHorizontal,
    blur: options.blur,
    sharpen: options.sharpen,
  }
}

function readFit(options: ImgproxyOptions, both: boolean): { readonly fit: Fit; readonly position?: Position } {
  const { type = 'fit', enlarge = false, extend = false } = options
  if (!both) {
    if (type === 'force' && (options.width ?? 0) + (options.height ?? 0) > 0) {
      throw notDone('force', 'specify both width and height')
    }
    return { fit: 'inside' }
  }
  if (type === 'auto') throw notDone('auto', 'use the resizing type fit or fill')
  if (extend && type !== 'fit' && !enlarge)
    throw notDone('extend', `it cannot be combined with "${type}" unless enlarge is set`)
  if (type === 'force') return { fit: 'fill' }
  if (type !== 'fit') return { fit: 'cover', position: positionOf(options.gravity) }
  if (!extend) return { fit: 'inside' }
  const position = positionOf(options.extendGravity)
  if (position === 'smart' || typeof position === 'object')
    throw notDone('extend', 'its gravity should be a side or a corner')
  return { fit: 'contain', position }
}

function positionOf(gravity: ImgproxyGravity | undefined): Position {
  if (gravity?.moved !== undefined) throw notDone(gravity.moved, 'gravity offsets are not supported')
  return gravity?.position ?? 'center'
}
