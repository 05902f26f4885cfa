import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BucketAlreadyOwnedByYou, CreateBucketCommand } from '@aws-sdk/client-s3'
import { z } from 'zod'
import { freePort, isFree } from '../processes/free-port.ts'
import { createTestClient, REGION, type S3Access } from '../s3/s3-server.ts'
import { findCommand } from '../servers/debian-packages.ts'
import { ensureMinio } from '../servers/install-servers.ts'

const API_PORT = 9000
const CONSOLE_PORT = 9001
const READY_MS = 30_000
const BUCKET = 'darkroom'

/** A MinIO with the bucket of a development node. */
export interface DevMinio {
  readonly access: S3Access
  readonly bucket: string
  readonly consoleUrl: string
  readonly uploadToken: string
  /** Holds `uploadToken`. */
  readonly tokenPath: string
  stop(): Promise<void>
}

const Secrets = z.object({ accessKeyId: z.string(), secretAccessKey: z.string(), uploadToken: z.string() })
type Secrets = z.infer<typeof Secrets>

/**
 * Starts MinIO on loopback, with its data and its secrets in a folder that stays, and creates the bucket.
 * @throws Error that names the alternatives if there is no MinIO and no Go to build one.
 */
export async function startDevMinio(folder: string): Promise<DevMinio> {
  const command = await minioCommand()
  await mkdir(join(folder, 'objects'), { recursive: true })
  const tokenPath = join(folder, 'upload-token')
  const { uploadToken, ...credentials } = await loadSecrets(folder, tokenPath)
  const port = (await isFree(API_PORT)) ? API_PORT : await freePort()
  const consolePort = (await isFree(CONSOLE_PORT)) ? CONSOLE_PORT : await freePort()
  const access: S3Access = { kind: 'minio', endpoint: `http://127.0.0.1:${port}`, region: REGION, ...credentials }
  const addresses = ['--address', `127.0.0.1:${port}`, '--console-address', `127.0.0.1:${consolePort}`]
  const minio = spawn(command, ['server', join(folder, 'objects'), ...addresses, '--quiet'], {
    env: {
      ...process.env,
      MINIO_ROOT_USER: credentials.accessKeyId,
      MINIO_ROOT_PASSWORD: credentials.secretAccessKey,
      MINIO_UPDATE: 'off',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
    // Ctrl-C reaches the node first, which still writes.
    detached: true,
  })
  const stop = async () => {
    if (minio.exitCode !== null || minio.signalCode !== null) return
    const ended = once(minio, 'exit')
    minio.kill('SIGTERM')
    await ended
  }
  try {
    await createBucket(access)
  } catch (cause) {
    await stop()
    throw new Error(`MinIO (${command}) did not start; see its output above`, { cause })
  }
  return { access, bucket: BUCKET, consoleUrl: `http://127.0.0.1:${consolePort}`, uploadToken, tokenPath, stop }
}

async function minioCommand(): Promise<string> {
  const found = await findCommand('minio')
  if (found !== undefined) return found
  try {
    return await ensureMinio()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(
      `MinIO is not available: ${reason}.\nAlternatives: put a minio binary in the PATH; or install Go, and run this again; ` +
        'or start MinIO with Docker Compose (docs/deploy.md); or set STORE=s3://<bucket> and S3_ENDPOINT to any S3 server; ' +
        'or run "npm run dev" with the embedded store',
      { cause },
    )
  }
}

/** The secrets of the first run are those of all later ones: MinIO keeps its data under them. */
async function loadSecrets(folder: string, tokenPath: string): Promise<Secrets> {
  const path = join(folder, 'secrets.json')
  const known = await readFile(path, 'utf8').catch(() => undefined)
  if (known !== undefined) return Secrets.parse(JSON.parse(known))
  const secret = () => randomBytes(24).toString('base64url')
  const secrets = { accessKeyId: 'darkroom', secretAccessKey: secret(), uploadToken: secret() }
  await writeFile(path, `${JSON.stringify(secrets, undefined, 2)}\n`, { mode: 0o600 })
  await writeFile(tokenPath, `${secrets.uploadToken}\n`, { mode: 0o600 })
  return secrets
}

async function createBucket(access: S3Access): Promise<void> {
  const client = createTestClient(access)
  const deadline = performance.now() + READY_MS
  try {
    for (;;) {
      try {
        await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
        return
      } catch (error) {
        if (error instanceof BucketAlreadyOwnedByYou) return
        if (performance.now() > deadline) throw error
        await delay(100)
      }
    }
  } finally {
    client.destroy()
  }
}
