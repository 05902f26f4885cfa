// The body of `npm run request-files`: how many files of src/ one request runs through, by V8's own counts of calls.
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import sharp from 'sharp'
import { z } from 'zod'
import { runTool, say } from './commands/run-tool.ts'
import { freePort } from './processes/free-port.ts'
import { jsonFields } from './requests/raw-request.ts'
import { newBucket } from './s3/s3-bucket.ts'
import { shareS3Server, startS3Server } from './s3/start-s3-server.ts'
import { backgroundIsDone, type Darkroom, startDarkroom, upload } from './servers/darkroom.ts'

const USAGE = `Usage: npm run request-files [-- --list]

Counts the files of src/ with a function that is called during one request: a cold miss of /image/{id}/400w, an upload,
and a cold view of an object of a bucket. Each request is repeated with new pictures; a file counts if every repetition
calls it, so that the timers of the node do not.

  --list  print the paths of the files in addition
  --help  print this help
`
const REPETITIONS = 5
const SOURCES = pathToFileURL(join(import.meta.dirname, '../src/')).href

const Targets = z.array(z.object({ webSocketDebuggerUrl: z.string() }))
const Coverage = z.object({
  id: z.number(),
  result: z.object({
    result: z
      .array(
        z.object({
          url: z.string(),
          functions: z.array(z.object({ ranges: z.array(z.object({ count: z.number() })) })),
        }),
      )
      .optional(),
  }),
})

/** The counters of a process, by the inspector protocol (domain Profiler). */
interface Counters {
  /** Files with a function that was called since the last time. */
  filesSinceLastTime(): Promise<ReadonlySet<string>>
  close(): void
}

/** Prints the figures of all three requests. @param list Print the names of the files too. */
async function countAll(list: boolean): Promise<void> {
  const server = await startS3Server('seaweedfs')
  shareS3Server(server)
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-request-files-'))
  const inspectorPort = await freePort()
  const bucket = await newBucket()
  const { accessKeyId = '', secretAccessKey = '' } = bucket.credentials ?? {}
  const node = await startDarkroom({
    env: {
      BUCKETS_FILE: await writeBucketsFile(folder, bucket),
      PHOTOS_KEY: accessKeyId,
      PHOTOS_SECRET: secretAccessKey,
    },
    through: ['env', `NODE_OPTIONS=--inspect=127.0.0.1:${inspectorPort}`],
  })
  const client = new S3Client(bucket)
  const counters = await connect(inspectorPort)
  try {
    const filesOf = async (prepare: () => Promise<() => Promise<Response>>): Promise<readonly string[]> => {
      const runs: ReadonlySet<string>[] = []
      for (let run = 0; run < REPETITIONS; run += 1) {
        const request = await prepare()
        await backgroundIsDone(node)
        await counters.filesSinceLastTime()
        const response = await request()
        if (!response.ok) throw new Error(`The request was answered ${response.status}: ${await response.text()}`)
        await response.arrayBuffer()
        runs.push(await counters.filesSinceLastTime())
      }
      const [first = new Set<string>(), ...others] = runs
      return [...first].filter((file) => others.every((files) => files.has(file))).toSorted()
    }
    report('cold miss of /image/{id}/400w', await filesOf(() => coldMiss(node)), list)
    report('upload by POST /images', await filesOf(() => newUpload(node)), list)
    report('cold view of /s3/photos/{key}/-/400w', await filesOf(() => coldObject(node, client, bucket.bucket)), list)
  } finally {
    counters.close()
    client.destroy()
    await node.stop()
    await server.stop()
    await rm(folder, { recursive: true })
  }
}

async function writeBucketsFile(
  folder: string,
  { bucket, endpoint }: { bucket: string; endpoint: string },
): Promise<string> {
  const file = join(folder, 'buckets.yaml')
  const keys = '    accessKeyId: $PHOTOS_KEY\n    secretAccessKey: $PHOTOS_SECRET\n'
  await writeFile(file, `buckets:\n  photos:\n    bucket: ${bucket}\n    endpoint: ${endpoint}\n${keys}`)
  return file
}

async function coldMiss(node: Darkroom): Promise<() => Promise<Response>> {
  const { id } = jsonFields(await (await upload(node.url, await newPicture())).text())
  return () => fetch(`${node.url}/image/${String(id)}/400w/x.jpg`)
}

async function newUpload(node: Darkroom): Promise<() => Promise<Response>> {
  const picture = await newPicture()
  return () => upload(node.url, picture)
}

async function coldObject(node: Darkroom, client: S3Client, Bucket: string): Promise<() => Promise<Response>> {
  const Key = `${randomUUID()}.jpg`
  await client.send(new PutObjectCommand({ Bucket, Key, Body: await newPicture() }))
  return () => fetch(`${node.url}/s3/photos/${Key}/-/400w/x.jpg`)
}

/** No two alike. */
async function newPicture(): Promise<Buffer> {
  const noise = { type: 'gaussian', mean: 128, sigma: 30 } as const
  return await sharp({ create: { width: 900, height: 600, channels: 3, background: 'black', noise } })
    .jpeg()
    .toBuffer()
}

async function connect(port: number): Promise<Counters> {
  const [target] = Targets.parse(await (await fetch(`http://127.0.0.1:${port}/json/list`)).json())
  if (target === undefined) throw new Error('The node cannot be inspected')
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  const answers = new Map<number, (answer: unknown) => void>()
  socket.addEventListener('message', ({ data }) => {
    const answer: unknown = JSON.parse(String(data))
    const { id } = z.object({ id: z.number().optional() }).parse(answer)
    if (id !== undefined) answers.get(id)?.(answer)
  })
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', reject)
  })
  let calls = 0
  const call = (method: string, params: object = {}): Promise<unknown> => {
    calls += 1
    const { promise, resolve } = Promise.withResolvers<unknown>()
    answers.set(calls, resolve)
    socket.send(JSON.stringify({ id: calls, method, params }))
    return promise
  }
  await call('Profiler.enable')
  await call('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  return {
    async filesSinceLastTime() {
      const { result } = Coverage.parse(await call('Profiler.takePreciseCoverage')).result
      const called = (result ?? []).filter(({ functions }) =>
        functions.some(({ ranges }) => (ranges[0]?.count ?? 0) > 0),
      )
      const files = called.map(({ url }) => url).filter((url) => url.startsWith(SOURCES))
      return new Set(files.map((url) => url.slice(SOURCES.length)))
    },
    close: () => socket.close(),
  }
}

function report(name: string, files: readonly string[], list: boolean): void {
  say(`${name}: ${files.length} files`)
  if (list) for (const file of files) say(`  ${file}`)
}

await runTool({
  name: 'request-files',
  usage: USAGE,
  options: { list: { type: 'boolean', default: false } },
  async run({ list }) {
    await countAll(list)
    return 0
  },
})
