import { rm } from 'node:fs/promises'
import { createServerFolder, runQuietly } from '../../tools/processes/process.ts'
import type { S3Access } from '../../tools/s3/s3-server.ts'
import { ensureMinioClient } from '../../tools/servers/install-servers.ts'

/** Runs MinIO's own client, as `mc(['cp', path, 'minio/bucket/key'])`: the server has the name `minio`. */
export type MinioClient = (args: readonly string[]) => Promise<void>

/** Installs it first. */
export async function createMinioClient({ endpoint, accessKeyId, secretAccessKey }: S3Access): Promise<MinioClient> {
  const command = await ensureMinioClient()
  const host = new URL(endpoint)
  host.username = accessKeyId
  host.password = secretAccessKey
  return async (args) => {
    // Nobody's own settings, and none of ours are left behind.
    const folder = await createServerFolder('mc')
    try {
      const env = { PATH: process.env.PATH, HOME: folder, MC_HOST_minio: host.href }
      await runQuietly(command, ['--config-dir', folder, '--quiet', ...args], env)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}
