import { randomUUID } from 'node:crypto'
import { open, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Config } from '../../src/config/env.ts'
import { CACHE_FOLDERS } from '../../src/domain/stored/cache-layout.ts'
import type { Check } from './check.ts'
import { failure, ok, type Result, skipped } from './finding.ts'

const TIMEOUT_MS = 5000
/** Deletions and signatures with an expiry tolerate a minute; S3 servers refuse requests after fifteen. */
const MOST_SECONDS = 60

/** The clock of this machine agrees with those of the S3 server and of the file system of the cache. */
export const clockCheck: Check = {
  name: 'clock',
  async run({ config }) {
    return await Promise.all([...(config.STORE.startsWith('s3:') ? [storeClock(config)] : []), cacheClock(config)])
  },
}

async function storeClock({ S3_ENDPOINT, S3_REGION }: Config): Promise<Result> {
  const url = S3_ENDPOINT || `https://s3.${S3_REGION}.amazonaws.com`
  const began = Date.now()
  try {
    const { headers } = await fetch(url, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const theirs = Date.parse(headers.get('date') ?? '')
    if (Number.isNaN(theirs)) return skipped('The S3 server sends no Date header.')
    return difference('the S3 server', theirs - (began + Date.now()) / 2)
  } catch {
    // The check of the store reports that.
    return skipped('The S3 server does not answer.')
  }
}

/** The clock of a network file system is that of its server. */
async function cacheClock({ CACHE_DIR }: Config): Promise<Result> {
  const path = join(resolve(CACHE_DIR), CACHE_FOLDERS.temporary, `doctor-clock-${randomUUID()}`)
  try {
    await using file = await open(path, 'wx')
    const began = Date.now()
    await file.write('darkroom')
    return difference('the file system of CACHE_DIR', (await stat(path)).mtimeMs - began)
  } catch {
    // The check of the cache folder reports that.
    return skipped('CACHE_DIR is not writable yet.')
  } finally {
    await rm(path, { force: true }).catch(() => {
      // Its folder cannot be written to, so there is no such file.
    })
  }
}

function difference(other: string, ms: number): Result {
  const seconds = Math.round(ms / 1000)
  const measured = { clockDifferenceSeconds: seconds }
  if (Math.abs(seconds) <= MOST_SECONDS)
    return ok(`The clock agrees with ${other} to within ${Math.abs(seconds) + 1} s.`, measured)
  return failure(
    `The clock of this machine is ${Math.abs(seconds)} s ${seconds > 0 ? 'behind' : 'ahead of'} ${other}.`,
    'Synchronise both clocks with NTP: timedatectl set-ntp true.',
    measured,
  )
}
