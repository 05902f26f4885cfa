import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { Config } from '../../src/config/env.ts'
import { tokenSource } from '../../src/domain/access/write-access.ts'
import { createStore } from '../../src/node/outside.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import { missingFolder, unwritable } from './cache-folder.ts'
import type { Check } from './check.ts'
import { failure, ok, type Result, reasonOf, skipped } from './finding.ts'
import { type StoreNames, storeFix } from './store-fix.ts'

const TIMEOUT_MS = 15_000
const BYTES = Buffer.from('A probe of scripts/doctor, which deletes it at once.\n')

/** The store answers, and allows all that this node needs: a read-only node neither puts nor deletes. */
export const storeCheck: Check = {
  name: 'store',
  async run({ config, local }) {
    const folder = config.STORE.startsWith('file:') ? resolve(config.STORE.slice('file:'.length)) : undefined
    if (folder === undefined && local) return [skipped('The store is not asked with --local.')]
    const missing = folder === undefined ? undefined : await missingFolder('STORE', folder)
    if (missing) return [missing]
    const prefix = writablePrefix(config)
    let store: ObjectStore
    try {
      store = await createStore(config, { readOnly: prefix === undefined })
    } catch (error) {
      return [unwritable('STORE', folder ?? config.STORE, error)]
    }
    try {
      return [await tryOut(store, config, prefix)]
    } finally {
      store.close()
    }
  },
}

/** Where this node puts objects on behalf of clients. @returns undefined for a read-only node. */
function writablePrefix(config: Config): string | undefined {
  if (tokenSource(config).kind !== 'none') return 'originals'
  return config.REMOTE_HOSTS.length > 0 ? 'remotes' : undefined
}

interface Step {
  readonly name: string
  readonly permission: string
  readonly run: () => Promise<unknown>
}

async function tryOut(store: ObjectStore, config: Config, prefix: string | undefined): Promise<Result> {
  const names: StoreNames = {
    bucket: `STORE=${config.STORE}`,
    endpoint: config.STORE.startsWith('file:') ? 'the folder of STORE' : `S3_ENDPOINT=${config.S3_ENDPOINT}`,
    credentials: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    policy: 'packaging/s3-policy.json',
  }
  const steps = stepsOn(store, prefix)
  for (const { name, permission, run } of steps) {
    try {
      await run()
    } catch (error) {
      return failure(`The store fails to ${name}: ${reasonOf(error)}.`, storeFix(error, permission, names))
    }
  }
  const did = steps.map(({ name }) => name).join(', ')
  return ok(`The store allows this ${prefix === undefined ? 'read-only node' : 'node'} to: ${did}.`)
}

function stepsOn(store: ObjectStore, prefix: string | undefined): readonly Step[] {
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  // One for each node: several doctors may run at the same time.
  const node = createHash('sha256').update(`${hostname()} ${process.cwd()}`).digest('hex').slice(0, 8)
  const key = `${prefix ?? 'originals'}/doctor-probe-${node}`
  const md5 = createHash('md5').update(BYTES).digest('hex')
  const options = { contentType: 'text/plain', sizeBytes: BYTES.length, md5, overwrite: true }
  const isThere = async () => {
    const found = await store.open(key, signal)
    if (found && (await buffer(found.body)).equals(BYTES)) return
    throw new Error(`${key} was put, but could not be read back`)
  }
  const list = { name: 'list', permission: 's3:ListBucket', run: () => store.check(signal) }
  const get = { name: 'get', permission: 's3:GetObject' }
  if (prefix === undefined) return [list, { ...get, run: () => store.open(key, signal) }]
  return [
    list,
    { name: 'put', permission: 's3:PutObject', run: () => store.put(key, { bytes: BYTES }, options, signal) },
    { ...get, run: isThere },
    { name: 'delete', permission: 's3:DeleteObject', run: () => store.remove(key, signal) },
  ]
}
