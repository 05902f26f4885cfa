import { freePort } from '../processes/free-port.ts'
import { createServerFolder, startServer } from '../processes/process.ts'
import { ensureMinio } from '../servers/install-servers.ts'
import { CREDENTIALS, REGION, type S3Access, type S3Server, storesObjects } from './s3-server.ts'

/** MinIO on one folder. Compiled once (minutes), ready in half a second. @param settings More of its own variables. */
export async function startMinio(settings: Readonly<Record<string, string>> = {}): Promise<S3Server> {
  const minio = await ensureMinio()
  const folder = await createServerFolder('minio')
  const port = await freePort()
  const access: S3Access = { kind: 'minio', endpoint: `http://127.0.0.1:${port}`, region: REGION, ...CREDENTIALS }
  const server = await startServer({
    name: 'minio',
    command: minio,
    args: ['server', 'objects', '--address', `127.0.0.1:${port}`, '--quiet'],
    folder,
    env: {
      MINIO_ROOT_USER: CREDENTIALS.accessKeyId,
      MINIO_ROOT_PASSWORD: CREDENTIALS.secretAccessKey,
      MINIO_BROWSER: 'off',
      // Nothing outside this machine is asked for a newer version.
      MINIO_UPDATE: 'off',
      ...settings,
    },
    isReady: () => storesObjects(access),
    readyTimeoutMs: 30_000,
  })
  return { ...access, stop: server.stop }
}
