import type { BucketSettings } from '../config/buckets-file.ts'
import type { Config } from '../config/env.ts'
import type { RemoteHost } from '../domain/network/remote-hosts.ts'
import type { ToldBucket } from '../service/library/event-service.ts'
import type { ServedBucket } from '../service/originals/buckets.ts'
import type { RemoteSource } from '../service/ports/remote.ts'

/** Sources of originals other than uploads. */
export interface Elsewhere {
  /** By their aliases. */
  readonly buckets: ReadonlyMap<string, ServedBucket>
  readonly remotes: RemoteSource
  /** Hosts that may serve remote images. */
  readonly remoteHosts: readonly RemoteHost[]
  /** Buckets that may send notifications. */
  readonly told: readonly ToldBucket[]
  /** Closes idle connections. No call may be in progress. */
  close(): Promise<void>
}

/** Imports the clients of buckets and hosts only if the settings name some: loading both takes a quarter of a second. */
export async function createElsewhere(config: Config, bucketSettings: readonly BucketSettings[]): Promise<Elsewhere> {
  const buckets = await openBuckets(config, bucketSettings)
  const remoteHosts = config.REMOTE_HOSTS
  const remotes = remoteHosts.length === 0 ? NO_REMOTES : await openRemotes(config)
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

const NO_REMOTES: RemoteSource = {
  fetch: () => Promise.reject(new Error('No request reaches a host that REMOTE_HOSTS does not name')),
  close: async () => {},
}

async function openRemotes(config: Config): Promise<RemoteSource> {
  const { createRemoteSource } = await import('../adapters/hosts/remote-source.ts')
  return createRemoteSource({
    hosts: config.REMOTE_HOSTS,
    allowedAddresses: config.REMOTE_ALLOW_ADDRESSES,
    dnsServers: config.REMOTE_DNS,
    formats: config.INPUT_FORMATS,
    maxBytes: config.MAX_UPLOAD_BYTES,
    defaultFreshSeconds: config.REMOTE_DEFAULT_FRESH_SECONDS,
    limits: { totalTimeoutMs: config.REMOTE_TIMEOUT_SECONDS * 1000 },
  })
}

async function openBuckets(config: Config, all: readonly BucketSettings[]): Promise<ReadonlyMap<string, ServedBucket>> {
  if (all.length === 0) return new Map()
  const { createS3Bucket } = await import('../adapters/s3/s3-reader.ts')
  const open = (settings: BucketSettings): ServedBucket => {
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
  return new Map(all.map((settings) => [settings.alias, open(settings)]))
}
