import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import { ensureCeph } from '../servers/install-servers.ts'
import { CREDENTIALS, REGION, type S3Access, type S3Server, SECOND_CREDENTIALS, storesObjects } from './s3-server.ts'

const SCRIPT = join(import.meta.dirname, './ceph-rgw.sh')

export interface CephServer extends S3Server {
  /** Process id of one of the three OSDs, whose ids are 0, 1 and 2. */
  osdPid(id: number): Promise<number>
}

/** A whole Ceph cluster with its S3 gateway and an erasure-coded data pool: six processes, ready in some 20 seconds. */
export async function startCeph(): Promise<CephServer> {
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
  const osdPid = async (id: number): Promise<number> => Number(await readFile(join(folder, 'osd', `${id}.pid`), 'utf8'))
  return { ...access, osdPid, stop: server.stop }
}
