import type { Config } from '../../src/config/env.ts'
import { createStore } from '../../src/node/outside.ts'
import { openEndpoints, type Replica } from '../../src/node/replicas.ts'
import type { ListedObject, ObjectStore } from '../../src/service/ports/store.ts'
import type { Check } from './check.ts'
import { failure, ok, type Result, reasonOf, warning } from './finding.ts'
import { storeFix } from './store-fix.ts'

const TIMEOUT_MS = 15_000
/** An original of this age is expected in every replica. */
const REPLICATED_MS = 600_000
const MOST_LISTED = 50

/** Each replica of STORE_REPLICAS answers, may be read, and has an original that STORE has had for a while. */
export const replicasCheck: Check = {
  name: 'replicas',
  run: async ({ config }) => (config.STORE_REPLICAS.length === 0 ? [] : await replicaResults(config)),
}

async function replicaResults(config: Config): Promise<Result[]> {
  const primary = await createStore(config)
  const { replicas, inOrder } = await openEndpoints(config, primary)
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    // The check of the store reports its failure.
    const known = await oldOriginal(primary, signal).catch(() => undefined)
    return await Promise.all(replicas.map((replica) => replicaResult(replica, known, signal)))
  } finally {
    for (const { store } of inOrder) store.close()
  }
}

/** One of the first originals that is old enough. */
async function oldOriginal(store: ObjectStore, signal: AbortSignal): Promise<ListedObject | undefined> {
  let listed = 0
  for await (const object of store.listObjects('originals/', '', signal)) {
    if (object.modifiedAt.getTime() < Date.now() - REPLICATED_MS) return object
    listed += 1
    if (listed === MOST_LISTED) return undefined
  }
  return undefined
}

async function replicaResult(
  { label, place, store }: Replica,
  known: ListedObject | undefined,
  signal: AbortSignal,
): Promise<Result> {
  const name = `Replica ${label.replace('replica:', '')} (${place})`
  try {
    // As a rule there is no such key: a user without s3:GetObject or s3:ListBucket is refused all the same.
    const found = await store.stat(known?.key ?? 'originals/doctor-probe', signal)
    if (known === undefined) return ok(`${name} may be read.`)
    if (found === undefined) {
      return warning(
        `${name} lacks ${known.key}, which the store has had for more than ten minutes.`,
        'Check the replication of the S3 server and its backlog, and that STORE_REPLICAS names the right bucket.',
      )
    }
    if (found.sizeBytes === known.sizeBytes) return ok(`${name} may be read, and has an original of the store.`)
    return failure(
      `${name} has other bytes than the store under ${known.key}.`,
      'Name the bucket to which the S3 server replicates that of STORE in STORE_REPLICAS.',
    )
  } catch (error) {
    const names = {
      bucket: `STORE_REPLICAS (${place})`,
      endpoint: `the endpoint in STORE_REPLICAS (${place})`,
      credentials: 'its profile in STORE_REPLICAS, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
      policy: 'packaging/s3-read-policy.json',
    }
    return failure(`${name} fails: ${reasonOf(error)}.`, storeFix(error, 's3:GetObject and s3:ListBucket', names))
  }
}
