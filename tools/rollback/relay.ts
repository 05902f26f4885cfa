import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import sharp from 'sharp'
import { filesBelow } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { AUTHORIZATION } from '../requests/token.ts'
import { backgroundIsDone, type Darkroom, fixture, startDarkroom, upload } from '../servers/darkroom.ts'

/** One version of the program. */
export interface Version {
  readonly name: string
  /** Path of its `src/main.ts`. */
  readonly main: string
}

/** A response that a later version must be able to repeat. */
interface Kept {
  readonly author: string
  readonly url: string
  readonly sha256: string
  readonly etag: string
  /** Bytes that every version must repeat: of an original. */
  readonly isExact: boolean
}

interface Left {
  readonly kept: Kept[]
  readonly deleted: string[]
  /** Images of all versions that are not deleted yet; the next version deletes one of them. */
  readonly expendable: string[]
}

/** What one version found of the earlier ones. */
export interface Leg {
  readonly version: string
  readonly responses: number
  /** Renditions from the cache of an earlier version, unchanged. */
  readonly hits: number
  /** Renditions with other bytes than those of the earlier version. */
  readonly changed: readonly string[]
  /** The same bytes with another ETag. */
  readonly validators: readonly string[]
  readonly deletions: number
  /** Files of deleted images in a file store, but for the marks of their deletion. */
  readonly leftovers: readonly string[]
}

const HEADERS = { ...AUTHORIZATION, Accept: 'image/webp,*/*' } as const
/** A picture large enough for mezzanines. */
const LARGE = { width: 3000, height: 2000 } as const
const SPECS = ['400w/x.jpg', '160w/x.webp', '300w200h,cover/x.png'] as const

export interface Course {
  /** Store and cache. */
  readonly env: Readonly<Record<string, string>>
  /** URL of an image on a remote host that the settings allow. */
  readonly remote: string
  /** Folder of the file store; has no files with another store. */
  readonly data: string
}

/**
 * Starts the versions one after the other on one store and one cache. Each repeats the responses of all before it and their deletions,
 * then uploads, views and deletes images by itself.
 *
 * @throws AssertionError if a version loses or shows what it must not.
 */
export async function relay(versions: readonly Version[], { env, remote, data }: Course): Promise<readonly Leg[]> {
  const left: Left = { kept: [], deleted: [], expendable: [] }
  const legs: Leg[] = []
  for (const [turn, { name, main }] of versions.entries()) {
    const node = await startDarkroom({ env, main })
    try {
      const found = { ...(await readAll(node, left)), deletions: left.deleted.length }
      await write(node, { name, turn, remote }, left)
      await backgroundIsDone(node)
      legs.push({ version: name, ...found, leftovers: await leftoversOf(data, left.deleted) })
    } finally {
      await node.stop()
    }
  }
  return legs
}

async function leftoversOf(data: string, deleted: readonly string[]): Promise<readonly string[]> {
  const files = await filesBelow(data)
  return files.filter((file) => !/^(?:deleted|invalidations)\//.test(file) && deleted.some((id) => file.includes(id)))
}

async function readAll(node: Darkroom, { kept, deleted }: Left) {
  let hits = 0
  const changed: string[] = []
  const validators: string[] = []
  for (const { author, url, sha256, etag, isExact } of kept) {
    const found = await get(node, url)
    assert.equal(found.status, 200, `${url} of ${author}`)
    const isSame = found.sha256 === sha256
    if (isExact) assert.ok(isSame, `${url} of ${author} has other bytes`)
    if (url.startsWith('/image/') && found.etag === etag) {
      const again = await fetch(node.url + url, { headers: { ...HEADERS, 'If-None-Match': etag } })
      assert.equal(again.status, 304, `${url} of ${author}`)
    } else if (isSame && etag !== found.etag) validators.push(url)
    if (!isSame) changed.push(url)
    else if (found.tier === 'disk') hits += 1
  }
  for (const id of deleted) {
    for (const url of [`/image/${id}/400w/x.jpg`, `/images/${id}`]) {
      assert.equal((await get(node, url)).status, 410, `${url} was deleted`)
    }
  }
  return { responses: kept.length, hits, changed, validators }
}

interface Turn {
  readonly name: string
  readonly turn: number
  readonly remote: string
}

async function write(node: Darkroom, { name, turn, remote }: Turn, left: Left): Promise<void> {
  const keep = async (url: string, isExact = false) => {
    const { status, sha256, etag } = await get(node, url)
    assert.equal(status, 200, `${url} by ${name}`)
    left.kept.push({ author: name, url, sha256, etag, isExact })
  }
  const [victim] = left.expendable.splice(0, 1)
  if (victim !== undefined) await remove(node, victim, left)
  // New sizes of the images of earlier versions come from their originals and mezzanines.
  for (const url of new Set(
    left.kept.map((each) => each.url.replace(/^(\/image\/\w+)\/.*/, `$1/${500 + turn}w/x.jpg`)),
  )) {
    if (url.startsWith('/image/')) assert.equal((await get(node, url)).status, 200, `${url} by ${name}`)
  }
  const ids = [
    await uploaded(node, await noise(turn)),
    await uploaded(node, Buffer.concat([await fixture('mountains.jpg'), Buffer.from(`${name} ${turn}`)])),
  ]
  for (const id of ids) {
    for (const spec of SPECS) await keep(`/image/${id}/${spec}`)
    await keep(`/image/${id}/200w`)
    await keep(`/images/${id}/original`, true)
    for (const url of [`/images/${id}`, `/images/${id}/info`]) await keep(url)
  }
  await keep(`/image?url=${encodeURIComponent(`${remote}?${turn}`)}&size=${300 + turn}w&format=jpg`)
  const [gone, expendable] = [
    await uploaded(node, await noise(turn + 100)),
    await uploaded(node, await noise(turn + 200)),
  ]
  await get(node, `/image/${gone}/400w/x.jpg`)
  await get(node, `/image/${expendable}/400w/x.jpg`)
  await remove(node, gone, left)
  left.expendable.push(expendable)
}

async function remove(node: Darkroom, id: string, { deleted }: Left): Promise<void> {
  const { status } = await fetch(`${node.url}/images/${id}`, { method: 'DELETE', headers: AUTHORIZATION })
  assert.equal(status, 204, `DELETE of ${id}`)
  deleted.push(id)
}

async function get(node: Darkroom, url: string) {
  const response = await fetch(node.url + url, { headers: HEADERS })
  const bytes = Buffer.from(await response.arrayBuffer())
  return {
    status: response.status,
    etag: response.headers.get('etag') ?? '',
    tier: /desc="(\w+)"/.exec(response.headers.get('server-timing') ?? '')?.[1],
    sha256: createHash('sha256').update(bytes).digest('hex'),
  }
}

async function uploaded(node: Darkroom, bytes: Buffer): Promise<string> {
  const response = await upload(node.url, bytes)
  const text = await response.text()
  assert.equal(response.status, 201, text)
  return String(jsonFields(text)['id'])
}

/** Another picture for each number. */
async function noise(number: number): Promise<Buffer> {
  const picture = { type: 'gaussian', mean: 100 + (number % 50), sigma: 40 } as const
  return await sharp({ create: { ...LARGE, channels: 3, background: '#000', noise: picture } })
    .jpeg({ quality: 60 })
    .toBuffer()
}
