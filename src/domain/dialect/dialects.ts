import type { OriginalRef } from '../identity/original-ref.ts'
import { parseRemoteUrl } from '../network/remote-hosts.ts'
import type { DialectRequest } from './dialect.ts'
import { type DialectMount, type DialectName, mountedTarget } from './dialect-mount.ts'
import { resolveSource } from './dialect-source.ts'
import { type ImgproxySettings, parseImgproxyPath } from './imgproxy-path.ts'
import { parseIpxPath } from './ipx-path.ts'
import { parseThumborPath, type ThumborSettings } from './thumbor-path.ts'

/** Which URLs of other services are served, and how they are read. */
export interface DialectSettings {
  readonly mounts: readonly DialectMount[]
  /** `unsafe` is what there are no keys for. */
  readonly thumbor: Omit<ThumborSettings, 'unsafe'>
  readonly imgproxy: ImgproxySettings
  /** What comes before a source that names no place of its own; empty: there are no such. */
  readonly bases: Readonly<Record<DialectName, string>>
  /** What a URL gets that names no format: the original's own, or what the client reads best. */
  readonly formatless: 'source' | 'negotiated'
}

/** A URL of another service, read. */
export interface ReadDialect extends Omit<DialectRequest, 'source'> {
  readonly original: OriginalRef
  /** It was signed in that service's way. */
  readonly isSigned: boolean
}

/**
 * @param host As the client sent it.
 * @param url Path and query, as they came.
 * @returns undefined if it is not in the grammar of any service that is mounted.
 * @throws RequestError `invalid_path`, `signature_invalid`
 */
export function readDialect(host: string, url: string, settings: DialectSettings): ReadDialect | undefined {
  for (const mount of settings.mounts) {
    const target = mountedTarget(mount, host, url)
    if (target === undefined) continue
    const { source, format, ...request } = parse(mount.name, target, settings)
    const base = settings.bases[mount.name]
    const original = resolveSource(source, { ...(base !== '' && { base }), parseRemoteUrl: remoteRef })
    const isSigned = mount.name !== 'ipx' && settings[mount.name].keys.length > 0
    return { ...request, original, isSigned, format: format === 'source' ? settings.formatless : format }
  }
  return undefined
}

function parse(name: DialectName, target: string, { thumbor, imgproxy }: DialectSettings): DialectRequest {
  switch (name) {
    case 'thumbor':
      return parseThumborPath(target, { ...thumbor, unsafe: thumbor.keys.length === 0 })
    case 'imgproxy':
      return parseImgproxyPath(target, imgproxy)
    case 'ipx':
      return parseIpxPath(target)
  }
}

/** What a source that is a URL means, in every grammar alike. */
export function remoteRef(url: string) {
  return { kind: 'remote', url: parseRemoteUrl(url) } as const
}
