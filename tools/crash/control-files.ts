import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { filesBelow } from '../requests/ask.ts'

const EVERY_MS = 20
const BYTES = 30_000
/** Older ones are removed. */
const KEPT = 1000

/** After so many cuts, chance explains no lack of damage. */
export const MANY_ROUNDS = 10

/** Writes files as nothing should: without a sync before the rename. A cut that damages some of them can damage files. */
export async function writeControlUntil(life: { readonly over: boolean }, disk: string): Promise<void> {
  const folder = join(disk, 'control')
  await mkdir(folder)
  for (let at = 1; !life.over; at += 1) {
    const aside = join(disk, 'control-file')
    await writeFile(aside, Buffer.alloc(BYTES, 'control'))
    await rename(aside, join(folder, String(at)))
    await rm(join(folder, String(at - KEPT)), { force: true })
    await delay(EVERY_MS)
  }
}

/** @param place A copy of the disk. */
export async function readControl(place: string): Promise<{ readonly files: number; readonly damaged: number }> {
  const folder = join(place, 'control')
  const names = await filesBelow(folder)
  const expected = Buffer.alloc(BYTES, 'control')
  let damaged = 0
  for (const name of names) if (!(await readFile(join(folder, name))).equals(expected)) damaged += 1
  return { files: names.length, damaged }
}
