import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import sharp from 'sharp'
import { createRandom } from '../../bench/seeded-random.ts'
import { filesBelow } from './ask.ts'
import { startDarkroom, upload } from './darkroom.ts'
import { jsonFields } from './raw-request.ts'

export interface CrashOptions {
  readonly rounds: number
  readonly seed: number
  /** Settings of every node: its store, and `CACHE_DIR`, both of which outlive it. */
  readonly env: Readonly<Record<string, string>> & { readonly CACHE_DIR: string }
}

/** What the clients of the killed nodes were told. */
export interface CrashResult {
  /** Ids of uploads that were answered 200 or 201. */
  readonly acknowledged: readonly string[]
  /** Requests that the kill cut off. */
  readonly cut: number
  readonly renditions: number
}

const UPLOADERS = 3
const VIEWERS = 3
const LONGEST_LIFE_MS = 400

/** Starts a node again and again, uploads and asks for pictures, and kills it with SIGKILL at a random moment. */
export async function crash({ rounds, seed, env }: CrashOptions): Promise<CrashResult> {
  const draw = createRandom(seed)
  const random = () => draw() / 2 ** 32
  const picture = await noisyPicture(seed)
  const acknowledged: string[] = []
  const tally = { cut: 0, renditions: 0, made: 0 }

  async function uploadOne(url: string): Promise<void> {
    tally.made += 1
    // What follows the end of a JPEG is no part of the picture, but of the file and so of its id.
    const bytes = Buffer.concat([picture, Buffer.from(`${seed} ${tally.made}`)])
    const response = await upload(url, bytes)
    const { id } = jsonFields(await response.text())
    assert.ok(response.status === 201, `An upload was answered ${response.status}`)
    assert.equal(id, sha256(bytes).slice(0, 40))
    acknowledged.push(String(id))
  }

  async function viewOne(url: string): Promise<void> {
    const id = acknowledged[Math.floor(random() * acknowledged.length)]
    if (id === undefined) return await uploadOne(url)
    const extension = ['jpg', 'webp', 'png', 'avif'][Math.floor(random() * 4)]
    const response = await fetch(`${url}/image/${id}/${20 + Math.floor(random() * 200)}w/x.${extension}`)
    const bytes = Buffer.from(await response.arrayBuffer())
    assert.equal(response.status, 200, bytes.toString().slice(0, 200))
    await sharp(bytes).stats()
    tally.renditions += 1
  }

  for (let round = 0; round < rounds; round += 1) {
    const node = await startDarkroom({ env })
    const life = { over: false }
    const keepAsking = async (ask: (url: string) => Promise<void>): Promise<void> => {
      while (!life.over) {
        try {
          await ask(node.url)
        } catch (error) {
          // An answer that is wrong is wrong; a connection that breaks is what a kill does.
          if (error instanceof assert.AssertionError || !(error instanceof TypeError)) throw error
          tally.cut += 1
          return
        }
      }
    }
    const clients = [
      ...Array.from({ length: UPLOADERS }, () => keepAsking(uploadOne)),
      ...Array.from({ length: VIEWERS }, () => keepAsking(viewOne)),
    ]
    const everybody = Promise.all(clients)
    await Promise.race([delay(random() * LONGEST_LIFE_MS), everybody])
    process.kill(node.pid, 'SIGKILL')
    life.over = true
    await everybody
    await node.stop()
  }
  return { acknowledged, cut: tally.cut, renditions: tally.renditions }
}

/** Fails unless a new node has every acknowledged upload, byte for byte as it was named. */
export async function assertNothingLost(acknowledged: readonly string[], env: CrashOptions['env']): Promise<void> {
  const node = await startDarkroom({ env })
  try {
    for (const id of acknowledged) {
      const record = await fetch(`${node.url}/images/${id}`)
      assert.equal(record.status, 200, `The record of ${id} is lost`)
      await record.arrayBuffer()
      const original = await fetch(`${node.url}/images/${id}/original`)
      assert.equal(sha256(Buffer.from(await original.arrayBuffer())).slice(0, 40), id)
    }
  } finally {
    await node.stop()
  }
}

/** Fails unless each file that nginx would send decodes to its end, in the format that its name says. @returns how many. */
export async function assertAllDecode(cacheDir: string): Promise<number> {
  const folder = join(cacheDir, 'renditions')
  const files = await filesBelow(folder)
  for (const file of files) {
    const image = sharp(join(folder, file), { failOn: 'warning' })
    const { format } = await image.metadata()
    await image.stats()
    assert.equal(file.split('.').at(-1), { jpeg: 'jpg', heif: 'avif' }[String(format)] ?? format, file)
  }
  return files.length
}

/** Fails unless each file below a folder of originals has the name that its bytes give it. @returns how many. */
export async function assertNamedByContent(folder: string): Promise<number> {
  const files = await filesBelow(folder)
  for (const file of files) {
    assert.equal(sha256(await readFile(join(folder, file))).slice(0, 40), basename(file))
  }
  return files.length
}

async function noisyPicture(seed: number): Promise<Buffer> {
  const draw = createRandom(seed + 1)
  const size = { width: 320, height: 240, channels: 3 } as const
  const pixels = Buffer.from(Array.from({ length: size.width * size.height * size.channels }, () => draw() >>> 24))
  return await sharp(pixels, { raw: size }).jpeg().toBuffer()
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
