import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Scope } from '../../tools/processes/scope.ts'
import { temporaryFolder } from '../../tools/servers/site.ts'

/** Writes a buckets file until the test ends. @param buckets Settings by alias. @returns its path, for `BUCKETS_FILE`. */
export async function writeBucketsFile(t: Scope, buckets: Readonly<Record<string, object>>): Promise<string> {
  const file = join(await temporaryFolder(t), 'buckets.yaml')
  await writeFile(file, JSON.stringify({ buckets }))
  return file
}
