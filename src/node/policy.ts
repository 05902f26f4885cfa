import type { Config } from '../config/env.ts'
import type { SizePolicy } from '../domain/access/size-policy.ts'
import type { DialectSettings } from '../domain/dialect/dialects.ts'
import { type AddressBlock, parseAddressBlock } from '../domain/network/ip-address.ts'
import { formatSpec } from '../domain/spec/spec.ts'

export function dialectSettings(config: Config): DialectSettings {
  const length = config.THUMBOR_SIGNATURE_LENGTH
  return {
    mounts: config.DIALECTS,
    thumbor: { keys: config.THUMBOR_KEYS, hash: config.THUMBOR_HASH, ...(length !== undefined && { length }) },
    imgproxy: {
      keys: config.IMGPROXY_KEYS,
      sizeBytes: config.IMGPROXY_SIGNATURE_BYTES,
    },
    bases: { thumbor: config.THUMBOR_BASE, imgproxy: config.IMGPROXY_BASE, ipx: config.IPX_BASE },
    formatless: config.DIALECT_FORMAT,
  }
}

export function sizePolicy({ SIZE_POLICY, SIZES, SIZES_FALLBACK, URL_KEYS }: Config): SizePolicy {
  if (SIZE_POLICY === 'list') return { kind: 'list', sizes: SIZES.map(formatSpec), fallback: SIZES_FALLBACK }
  return SIZE_POLICY === 'signed' ? { kind: 'signed', keys: URL_KEYS } : { kind: 'open' }
}

/** How many new remote images are added in a minute, in all and for one client. */
export function newRemoteLimits({ REMOTE_NEW_PER_MINUTE: perMinute, REMOTE_NEW_PER_CLIENT: perClient }: Config) {
  return { perMinute, perClient: perClient ?? Math.ceil(perMinute / 4) }
}

const LOOPBACK = ['127.0.0.0/8', '::1'] as const

/** Whose word on the client is taken: with `ACCEL_PREFIX` the nginx on this machine writes over whatever a client says. */
export function trustedProxies({ ACCEL_PREFIX, TRUSTED_PROXIES }: Config): readonly AddressBlock[] {
  return [...(ACCEL_PREFIX === '' ? [] : LOOPBACK.map(parseAddressBlock)), ...TRUSTED_PROXIES]
}
