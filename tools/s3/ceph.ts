import { join } from 'node:path'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import { ensureCeph } from '../servers/install-servers.ts'
import { CREDENTIALS, REGION, type S3Access, type S3Server, SECOND_CREDENTIALS, storesObjects } from './s3-server.ts'

const SCRIPT = join(import.meta.dirname, './ceph-rgw.sh')

/** A whole Ceph cluster with its S3 gateway and an erasure-coded data pool: six processes, ready in some 20 seconds. */
export async function startCeph(): Promise<S3Server> {
  await ensureCeph()
  const folder = await createServerFolder('ceph')
  const [monitorPort, s3Port] = [await freePort(), await freePort()]
  const access: S3Access = { kind: 'ceph', endpoint: `http://127.0.0.1:${s3Port}`, region: REGION, ...CREDENTIALS }
  const server = await startServer({
    name: 'ceph',
    command: 'bash',
    args: [SCRIPT, folder, String(monitorPort), String(s3Port)],
    folder,
    env: {
      FIRST_KEY: CREDENTIALS.accessKeyId,
      FIRST_SECRET: CREDENTIALS.secretAccessKey,
      SECOND_KEY: SECOND_CREDENTIALS.accessKeyId,
      SECOND_SECRET: SECOND_CREDENTIALS.secretAccessKey,
    },
    isReady: () => storesObjects(access),
    readyTimeoutMs: 180_000,
  })
  return { ...access, stop: server.stop }
}
