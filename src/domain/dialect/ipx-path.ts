import { invalidPath } from '../text/invalid-path.ts'
import { type DialectFormat, type DialectRequest, dialectFormat } from './dialect.ts'
import { settleSpec } from './dialect-spec.ts'
import { percentDecode } from './dialect-text.ts'
import { type IpxModifiers, readIpxModifiers } from './ipx-modifiers.ts'

/**
 * Reads a URL of ipx.
 *
 * ```
 * path     = "/" ( "_" / modifier *( ( "," / "&" ) modifier ) ) "/" id
 * modifier = name [ ( "_" / ":" / "=" ) argument ]
 * ```
 *
 * @param target What follows the place where the dialect is mounted, from its slash on, as it came: with the query, which
 * belongs to the image.
 * @throws RequestError `invalid_path` naming what can't be read or what we don't do.
 * @see https://github.com/unjs/ipx
 */
export function parseIpxPath(target: string): DialectRequest {
  const { first, id } = /^\/(?<first>[^/]+)\/+(?<id>.+)$/s.exec(target)?.groups ?? {}
  if (first === undefined || id === undefined) {
    throw invalidPath('Malformed path: use /{modifiers}/{image}, with commas between modifiers, or "_" for none')
  }
  const modifiers = first === '_' ? new Map<string, string>() : splitModifiers(first)
  const wish = readIpxModifiers(modifiers)
  const format = readFormat(modifiers)
  // All frames only if asked for, or in a GIF. Of the formats that we can be asked for, WebP is the other one with frames.
  const still = (format === 'webp' || format === 'negotiated') && !modifiers.has('animated') && !modifiers.has('a')
  return { source: percentDecode(id), spec: settleSpec({ ...wish, still }), format }
}

function splitModifiers(text: string): IpxModifiers {
  return new Map(
    text.split(/[&,]/).map((modifier): [string, string] => {
      const [name = '', ...args] = modifier.split(/[:=_]/)
      return [percentDecode(name), args.map(percentDecode).join('_')]
    }),
  )
}

function readFormat(modifiers: IpxModifiers): DialectFormat {
  const [name, text] = modifiers.get('f') ? ['f', modifiers.get('f')] : ['format', modifiers.get('format')]
  if (text === undefined || text === '') return 'source'
  return text === 'auto' ? 'negotiated' : dialectFormat(text, `${name}_${text}`)
}
