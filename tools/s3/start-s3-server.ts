import { z } from 'zod'
import { startCeph } from './ceph.ts'
import { startMinio } from './minio.ts'
import { S3_KINDS, type S3Access, type S3Kind, type S3Server } from './s3-server.ts'
import { startSeaweedfs } from './seaweedfs.ts'

/** JSON of an `S3Access`: the server that `npm test` has started for all test files. */
const SHARED_SERVER = 'DARKROOM_TEST_S3'

const SharedAccess = z.object({
  kind: z.enum(S3_KINDS),
  endpoint: z.url(),
  region: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
})

const STARTERS = { seaweedfs: startSeaweedfs, minio: () => startMinio(), ceph: startCeph } as const satisfies Record<
  S3Kind,
  () => Promise<S3Server>
>

/**
 * Starts a real S3 server on loopback, with its data in a temporary folder; installs it first where it can.
 * It ends by `stop`, or with this process.
 *
 * @throws Error that says what is missing, when it can't be installed here.
 */
export function startS3Server(kind: S3Kind): Promise<S3Server> {
  return STARTERS[kind]()
}

let own: Promise<S3Server> | undefined

/**
 * The S3 server for the tests of this file: the one that the test run shares, else one of its own, which ends with the
 * process. Others use the same server: make a bucket of your own.
 */
export async function s3ForTests(): Promise<S3Access> {
  const shared = process.env[SHARED_SERVER]
  if (shared !== undefined) return SharedAccess.parse(JSON.parse(shared))
  own ??= startS3Server('seaweedfs')
  const { kind, endpoint, region, accessKeyId, secretAccessKey } = await own
  return { kind, endpoint, region, accessKeyId, secretAccessKey }
}

/** Makes `s3ForTests` of all processes started from now on use this server. */
export function shareS3Server({ kind, endpoint, region, accessKeyId, secretAccessKey }: S3Access): void {
  process.env[SHARED_SERVER] = JSON.stringify({ kind, endpoint, region, accessKeyId, secretAccessKey })
}

export function isS3Kind(text: unknown): text is S3Kind {
  return S3_KINDS.some((kind) => kind === text)
}
