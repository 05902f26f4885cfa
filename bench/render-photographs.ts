import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { distinctCopy, extensionOf } from '../tools/pictures/distinct-copy.ts'
import { jsonFields } from '../tools/requests/raw-request.ts'
import { upload } from '../tools/servers/darkroom.ts'

const UPLOADS_AT_ONCE = 4

/** An original, in the folder that the peers read and in the service. */
export interface Photograph {
  readonly file: string
  readonly id: string
  readonly width: number
  readonly height: number
}

/** Files of one size and format. */
export interface PhotographSource {
  readonly folder: string
  /** What the names of the files begin with. */
  readonly prefix: string
  /** End of the names. Default: .jpg */
  readonly extension?: '.jpg' | '.png' | '.webp'
}

/** All of them, upright, by name. */
export async function readPhotographs({ folder, prefix, extension = '.jpg' }: PhotographSource): Promise<Buffer[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(prefix) && name.endsWith(extension))
  const upright = names.filter((name) => !name.includes('orientation')).toSorted()
  return await Promise.all(upright.map((name) => readFile(join(folder, name))))
}

/** Writes as many files as wanted, no two alike, into a new folder. @returns their names. */
export async function writeCopies(files: readonly Buffer[], count: number, folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  const names: string[] = []
  for (let copy = 0; copy < count; copy += 1) {
    const file = files[copy % files.length]
    assert.ok(file, 'There are photographs')
    const name = `${String(copy).padStart(4, '0')}.${extensionOf(file)}`
    await writeFile(join(folder, name), distinctCopy(file, `copy ${copy}`))
    names.push(name)
  }
  return names
}

/** Uploads files of a folder. */
export async function uploadFiles(url: string, folder: string, names: readonly string[]): Promise<Photograph[]> {
  return await pLimit(UPLOADS_AT_ONCE).map(names, async (file) => {
    const { id, width, height } = await uploadBytes(url, await readFile(join(folder, file)))
    return { file, id, width, height }
  })
}

/** @returns What the answer says, and how long it took to the last byte of the answer. */
export async function uploadBytes(
  url: string,
  bytes: Buffer,
): Promise<{ readonly id: string; readonly width: number; readonly height: number; readonly ms: number }> {
  const began = performance.now()
  const response = await upload(url, bytes)
  const text = await response.text()
  const ms = performance.now() - began
  assert.equal(response.status, 201, text)
  const { id, width, height } = jsonFields(text)
  return { id: String(id), width: Number(width), height: Number(height), ms }
}
