// The body of `npm run dev`: a node for those who work on it.
import { join } from 'node:path'
import { startGreeting } from '../src/domain/access/write-access.ts'
import { runTool, say } from './commands/run-tool.ts'
import { type DevMinio, startDevMinio } from './dev/dev-minio.ts'
import { runWatchedNode } from './dev/watched-node.ts'

const USAGE = `Usage: npm run dev [-- --minio]

Starts a node that starts again when a file of src/ changes. Settings are environment variables, as for npm start.

  --minio  keep the originals in MinIO instead of the embedded store. MinIO comes from the PATH; otherwise Go builds it,
           once, in about four minutes. Its data, the bucket, its secrets and the upload token stay in dev-data/.
  --help   print this help
`
const ROOT = join(import.meta.dirname, '..')
const FOLDER = process.env['DARKROOM_DEV_DATA'] ?? join(ROOT, 'dev-data')

/** Ctrl-C reaches this process and the node alike. */
function untilStopped(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => controller.abort())
  return controller.signal
}

function minioSettings({ access, bucket, uploadToken }: DevMinio): NodeJS.ProcessEnv {
  return {
    STORE: `s3://${bucket}`,
    S3_ENDPOINT: access.endpoint,
    S3_REGION: access.region,
    AWS_ACCESS_KEY_ID: access.accessKeyId,
    AWS_SECRET_ACCESS_KEY: access.secretAccessKey,
    UPLOAD_TOKENS: uploadToken,
    CACHE_DIR: join(FOLDER, 'cache'),
  }
}

function describeMinio({ access, bucket, consoleUrl, uploadToken, tokenPath }: DevMinio, url: string): string {
  const { endpoint, accessKeyId, secretAccessKey } = access
  return `MinIO: ${endpoint}, bucket ${bucket}
Console: ${consoleUrl}, user ${accessKeyId}, password ${secretAccessKey}
List the objects:
  AWS_ACCESS_KEY_ID=${accessKeyId} AWS_SECRET_ACCESS_KEY=${secretAccessKey} aws --endpoint-url ${endpoint} s3 ls --recursive s3://${bucket}
${startGreeting({ hasPage: process.env['HOME_PAGE'] !== 'false', url, tokenPath, token: uploadToken })}`
}

await runTool({
  name: 'dev',
  usage: USAGE,
  options: { minio: { type: 'boolean', default: false } },
  async run({ minio: withMinio }) {
    const signal = untilStopped()
    const { HOST = '127.0.0.1', PORT = '8080' } = process.env
    const minio = withMinio ? await startDevMinio(FOLDER) : undefined
    if (minio) say(describeMinio(minio, `http://${HOST}:${PORT}`))
    try {
      await runWatchedNode(ROOT, { ...process.env, DRAIN_SECONDS: '0', ...(minio && minioSettings(minio)) }, signal)
    } finally {
      await minio?.stop()
    }
    return 0
  },
})
