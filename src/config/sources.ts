import { z } from 'zod'
import { parseAddressBlock, parseDnsServer } from '../domain/network/ip-address.ts'
import { parseRemoteHost } from '../domain/network/remote-hosts.ts'
import { byteSize, choice, count, facts, flag, list, optionalByteSize, text, webUrl, whole } from './fields.ts'
import { parseReplica } from './replicas.ts'

const MIB = 2 ** 20

/** Settings of the store that holds the originals. */
export const OBJECT_STORE = {
  STORE: z
    .string()
    .regex(/^(?:file:.+|s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])$/, 'should be file:<folder> or s3://<bucket>')
    .default('file:./data')
    .meta(
      facts({
        about: 'Location of the originals: a folder, or a bucket of an S3-compatible object store.',
        allowed: 'file:<folder> or s3://<bucket>',
      }),
    ),
  S3_ENDPOINT: webUrl('https://s3.example.net:9000', {
    about: 'URL of the S3 server. Requires STORE=s3://<bucket>.',
    whenUnset: 'the AWS endpoint of S3_REGION',
  }),
  S3_REGION: z
    .string()
    .min(1)
    .default('us-east-1')
    .meta(facts({ about: 'Region of the bucket. Requires STORE=s3://<bucket>.', allowed: 'region name' })),
  S3_FORCE_PATH_STYLE: flag(true, {
    about:
      'Address the bucket in the path of the URL (path style) instead of in the host name (virtual-hosted style). Requires STORE=s3://<bucket>.',
  }),
  AWS_ACCESS_KEY_ID: text({
    about: 'Access key of the S3 server. Set it together with AWS_SECRET_ACCESS_KEY.',
    whenUnset: 'the credential chain of the AWS SDK (environment, profile, instance role)',
  }),
  AWS_SECRET_ACCESS_KEY: text({ about: 'Secret of AWS_ACCESS_KEY_ID.', whenUnset: 'see AWS_ACCESS_KEY_ID' }),
  AWS_SESSION_TOKEN: text({ about: 'Session token of temporary credentials.', whenUnset: 'none' }),
  SHARE_RENDITIONS: choice(['auto', 'on', 'off'], 'auto', {
    about:
      'Write costly renditions, and those that were rendered in advance, to the store for all nodes, below renditions/. With auto: if the store is a bucket.',
  }),
  SHARE_RENDITIONS_OVER_MS: count(50, {
    about:
      'Share renditions whose expected CPU time is above this. Those of PRIME_SIZES, of primeSizes of a bucket, and those rendered in advance are shared whatever they cost.',
    unit: 'milliseconds',
  }),
  SHARE_RENDITIONS_DAYS: count(30, {
    about:
      'Days for which a shared rendition is used. Then it is rendered again. scripts/set-lifecycle lets the bucket delete older ones; in a folder the nodes do it. To be equal on all nodes.',
    unit: 'days',
  }),
  STORE_REPLICAS: list(
    parseReplica,
    { max: 8 },
    {
      about:
        'Buckets to which the S3 server replicates the bucket of STORE, nearest first (docs/replicas.md). They serve reads; "primary" is the place of STORE in that order, by default the first. Requires STORE=s3://<bucket>.',
      allowed:
        'entries such as s3://my-bucket?endpoint=https://minio-b.internal:9000, separated by spaces; options after "?", joined by "&": endpoint, region, pathStyle, profile; default: AWS, and the region, path style and credentials of STORE',
      whenUnset: 'no replicas',
    },
  ),
} as const

/** Settings of the images that Darkroom serves from elsewhere. */
export const ELSEWHERE = {
  BUCKETS_FILE: text({
    about: 'YAML or JSON file that lists the buckets whose objects are served under /s3/ (docs/buckets.md).',
    allowed: 'path of a file',
    whenUnset: 'no buckets',
  }),
  REMOTE_HOSTS: list(
    parseRemoteHost,
    {},
    {
      about:
        'Allow-list of the hosts that remote images are fetched from (docs/remote.md). An entry may limit the protocol, the port and the query parameters. * allows every host and requires SIZE_POLICY=signed.',
      allowed:
        'entries such as example.com, *.example.com, https://example.com:8443 or example.com?v,id, separated by spaces',
      whenUnset: 'no remote images',
    },
  ),
  REMOTE_MAX_BYTES: byteSize(20 * 1024 * MIB, {
    about:
      'Total size of remote images in the store. scripts/purge-remotes deletes the least recently requested ones above it.',
  }),
  REMOTE_NEW_PER_MINUTE: count(1000, {
    about:
      'Rate limit of this node for remote images that are not in the store yet. Requests above it are answered 429.',
    unit: 'images per minute',
  }),
  REMOTE_NEW_PER_CLIENT: whole(1)
    .optional()
    .meta(
      facts({
        about:
          'The same rate limit for each client: an IPv4 address, or the first 64 bits of an IPv6 address. At most REMOTE_NEW_PER_MINUTE.',
        unit: 'images per minute',
        whenUnset: 'a quarter of REMOTE_NEW_PER_MINUTE',
      }),
    ),
  REMOTE_ALLOW_ADDRESSES: list(
    parseAddressBlock,
    {},
    {
      about: 'Non-public addresses that remote images may be fetched from.',
      allowed: 'addresses and CIDR blocks such as 10.1.0.0/16, separated by spaces',
      whenUnset: 'public addresses only',
    },
  ),
  REMOTE_DNS: list(
    parseDnsServer,
    {},
    {
      about: 'DNS servers that resolve the names of remote hosts.',
      allowed: 'entries such as 192.0.2.53 or [2001:db8::53]:5353, separated by spaces',
      whenUnset: 'the DNS servers of the system',
    },
  ),
  REMOTE_TIMEOUT_SECONDS: count(14, {
    about: 'Timeout of fetching a remote image, redirects included.',
    unit: 'seconds',
  }),
  REMOTE_DEFAULT_FRESH_SECONDS: whole(0)
    .default(300)
    .meta(
      facts({
        about: 'Freshness lifetime of a remote image whose response does not state one (RFC 9111).',
        unit: 'seconds',
      }),
    ),
  REMOTE_STALE_IF_ERROR_SECONDS: whole(0)
    .default(31_536_000)
    .meta(
      facts({
        about:
          'stale-if-error (RFC 5861): a stale remote image is served for this time while its host fails, unless the response forbids it. The default is one year.',
        unit: 'seconds',
      }),
    ),
  REMOTE_KEEP_RENDITIONS: flag(false, {
    about: 'Keep the renditions of remote images in the store, beside the originals.',
  }),
} as const

/** Settings of the events of stored and deleted images. */
export const EVENTS = {
  EVENTS_KEEP_DAYS: count(7, {
    about:
      'Events are kept in the store for this time. A consumer of GET /events that was away for longer has to compare its images with GET /images (docs/events.md).',
    unit: 'days',
  }),
  SINKS_FILE: text({
    about: 'YAML or JSON file that lists the webhooks and queues to which events are delivered (docs/events.md).',
    allowed: 'path of a file',
    whenUnset: 'no sinks; GET /events has all events',
  }),
  SINK_ALLOW_ADDRESSES: list(
    parseAddressBlock,
    {},
    {
      about: 'Non-public addresses that sinks may have. Requires SINKS_FILE.',
      allowed: 'addresses and CIDR blocks such as 10.1.0.0/16, separated by spaces',
      whenUnset: 'public addresses only',
    },
  ),
} as const

/** Settings of the caches on disk and in memory. */
export const CACHE = {
  CACHE_DIR: z
    .string()
    .min(1)
    .default('./cache')
    .meta(facts({ about: 'Folder of the disk cache of this node.', allowed: 'path of a folder' })),
  CACHE_MAX_BYTES: optionalByteSize({
    about: 'Maximum disk space of the cache. Above 97 % of it, files are evicted, first those that were viewed once.',
    whenUnset: '10 % of the disk',
  }),
  CACHE_MIN_FREE_BYTES: optionalByteSize({
    about: 'Minimum free disk space. Below it, files of the cache are evicted.',
    whenUnset: '5 % of the disk',
  }),
  CACHE_MAX_IDLE_DAYS: whole(2)
    .default(30)
    .meta(facts({ about: 'Files that were not requested for this time are deleted from the cache.', unit: 'days' })),
  CACHE_SWEEP_SECONDS: count(600, {
    about: 'Interval between two sweeps of the cache, which delete idle files and evict others.',
    unit: 'seconds',
  }),
  MEMORY_CACHE_BYTES: optionalByteSize({
    about: 'In-memory cache of renditions; also the fallback while the disk is full or read-only.',
    whenUnset: '1/16 of the memory of the machine or its container, at most 128 MiB',
  }),
  MEMORY_CACHE_ENTRIES: whole(1000)
    .default(50_000)
    .meta(
      facts({
        about:
          'Originals whose metadata and version are kept in memory: each for uploads, buckets and remote images. An entry takes about 1 KB.',
        unit: 'entries',
      }),
    ),
} as const
