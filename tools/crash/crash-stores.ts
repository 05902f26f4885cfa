import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { filesBelow } from '../requests/ask.ts'
import { newBucket } from '../s3/s3-bucket.ts'
import type { CrashOptions } from './crash.ts'

type CrashStore = Pick<CrashOptions, 'env' | 'newOriginals'>

export function fileCrashStore(folder: string): CrashStore {
  const seen = new Set<string>()
  return {
    env: { STORE: `file:${folder}` },
    async *newOriginals() {
      for (const file of await filesBelow(join(folder, 'originals'))) {
        if (seen.has(file)) continue
        seen.add(file)
        yield [file, await readFile(join(folder, 'originals', file))]
      }
    },
  }
}

/** @returns a store in a new bucket, and what ends our own connections to it. */
export async function s3CrashStore(): Promise<CrashStore & { readonly close: () => void }> {
  const settings = await newBucket()
  const store = createS3Store(settings)
  const never = new AbortController().signal
  const seen = new Set<string>()
  return {
    env: {
      STORE: `s3://${settings.bucket}`,
      S3_ENDPOINT: settings.endpoint,
      AWS_ACCESS_KEY_ID: settings.credentials?.accessKeyId ?? '',
      AWS_SECRET_ACCESS_KEY: settings.credentials?.secretAccessKey ?? '',
    },
    async *newOriginals() {
      for await (const key of store.list('originals/', '', never)) {
        if (seen.has(key)) continue
        seen.add(key)
        const object = await store.open(key, never)
        if (object) yield [key, await buffer(object.body)]
      }
    },
    close: () => store.close(),
  }
}
