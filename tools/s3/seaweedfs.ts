import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import { ensureSeaweedfs } from '../servers/install-servers.ts'
import {
  CREDENTIALS,
  READER_CREDENTIALS,
  REGION,
  type S3Access,
  type S3Server,
  SECOND_CREDENTIALS,
  storesObjects,
} from './s3-server.ts'

/** SeaweedFS in one process: installed in seconds, ready in three. The server of `npm test`. */
export async function startSeaweedfs(): Promise<S3Server> {
  const weed = await ensureSeaweedfs()
  const folder = await createServerFolder('seaweedfs')
  const users = join(folder, 'users.json')
  await writeFile(
    users,
    JSON.stringify({
      identities: [
        identity('admin', CREDENTIALS, ['Admin', 'Read', 'List', 'Tagging', 'Write']),
        identity('other', SECOND_CREDENTIALS, []),
        identity('reader', READER_CREDENTIALS, ['Read', 'List']),
      ],
    }),
  )

  const s3Port = await freePort()
  const access: S3Access = { kind: 'seaweedfs', endpoint: `http://127.0.0.1:${s3Port}`, region: REGION, ...CREDENTIALS }
  const server = await startServer({
    name: 'seaweedfs',
    command: weed,
    args: ['server', ...(await portOptions()), `-s3.port=${s3Port}`, `-s3.config=${users}`, ...OPTIONS],
    folder,
    // One volume per new bucket, not seven: every test makes a bucket.
    env: { WEED_MASTER_VOLUME_GROWTH_COPY_1: '1' },
    isReady: () => storesObjects(access),
    readyTimeoutMs: 30_000,
    // Asked kindly, it waits longer for its own parts than we for it.
    endsBy: 'KILL',
  })
  return { ...access, stop: server.stop }
}

const OPTIONS = [
  '-ip=127.0.0.1',
  '-ip.bind=127.0.0.1',
  '-s3.ip.bind=127.0.0.1',
  '-dir=.',
  '-filer',
  '-s3',
  '-master.volumeSizeLimitMB=256',
  '-volume.max=5000',
  // Off: statistics sent to its makers, and services beside S3 that have ports of their own.
  '-master.telemetry=false',
  '-s3.port.iceberg=0',
  '-s3.port.lance=0',
]

/** Its parts talk to each other by TCP, each on two ports. */
async function portOptions(): Promise<string[]> {
  const options: string[] = []
  for (const name of [
    'master.port',
    'master.port.grpc',
    'volume.port',
    'volume.port.grpc',
    'filer.port',
    'filer.port.grpc',
    's3.port.grpc',
  ]) {
    options.push(`-${name}=${await freePort()}`)
  }
  return options
}

function identity(
  name: string,
  credentials: { readonly accessKeyId: string; readonly secretAccessKey: string },
  actions: readonly string[],
) {
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = credentials
  return { name, credentials: [{ accessKey, secretKey }], actions }
}
