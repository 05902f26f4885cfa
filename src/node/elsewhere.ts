import { createRemoteSource } from '../adapters/hosts/remote-source.ts'
import { createS3Bucket } from '../adapters/s3/s3-bucket.ts'
import type { BucketSettings } from '../config/buckets-file.ts'
import type { Config } from '../config/env.ts'
import type { RemoteHost } from '../domain/network/remote-hosts.ts'
import type { ToldBucket } from '../service/library/event-service.ts'
import type { ServedBucket } from '../service/originals/object-versions.ts'
import type { RemoteSource } from '../service/ports/remote.ts'

/** Where originals are that are not ours. */
export interface Elsewhere {
  /** By their aliases. */
  readonly buckets: ReadonlyMap<string, ServedBucket>
  readonly remotes: RemoteSource
  /** That remote images may be on. */
  readonly remoteHosts: readonly RemoteHost[]
  /** Those that may tell what comes and goes. */
  readonly told: readonly ToldBucket[]
  /** Ends idle connections. Nothing may be under way. */
  close(): Promise<void>
}

export function createElsewhere(config: Config, bucketSettings: readonly BucketSettings[]): Elsewhere {
  const buckets = new Map(bucketSettings.map((settings) => [settings.alias, servedBucket(settings, config)]))
  const remoteHosts = config.REMOTE_HOSTS
  const remotes = createRemoteSource({
    hosts: remoteHosts,
    allowedAddresses: config.REMOTE_ALLOW_ADDRESSES,
    dnsServers: config.REMOTE_DNS,
    formats: config.INPUT_FORMATS,
    maxBytes: config.MAX_UPLOAD_BYTES,
    defaultFreshSeconds: config.REMOTE_DEFAULT_FRESH_SECONDS,
    limits: { totalTimeoutMs: config.REMOTE_TIMEOUT_SECONDS * 1000 },
  })
  return {
    buckets,
    remotes,
    remoteHosts,
    told: bucketSettings.map(({ alias, bucket, keyPrefix, primeSizes }) => ({
      alias,
      bucket,
      keyPrefix,
      primeSizes,
    })),
    async close() {
      for (const { bucket } of buckets.values()) bucket.close()
      await remotes.close()
    },
  }
}

function servedBucket(settings: BucketSettings, config: Config): ServedBucket {
  const { bucket, endpoint, region, pathStyle, credentials, keyPrefix } = settings
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = settings
  return {
    bucket: createS3Bucket({
      bucket,
      ...(endpoint !== undefined && { endpoint }),
      region,
      forcePathStyle: pathStyle,
      ...(credentials !== undefined && { credentials }),
      keyPrefix,
      limits: { totalTimeoutMs: config.STORE_TIMEOUT_SECONDS * 1000 },
    }),
    keyPrefix,
    freshness: { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds },
  }
}
