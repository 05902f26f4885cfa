import { lifecycleDays, RENDITIONS_PREFIX } from '../../src/domain/stored/shared-rendition.ts'
import { openStoreLifecycle, sharesRenditions } from '../../src/node/outside.ts'
import type { Check } from './check.ts'
import { ok, type Result, reasonOf, skipped, warning } from './finding.ts'

const TIMEOUT_MS = 15_000
const FIX =
  'Run scripts/set-lifecycle with credentials that may change lifecycle rules, or add the rule by the tools of the store.'

/** The bucket deletes shared renditions by itself, and not while nodes read them. */
export const lifecycleCheck: Check = {
  name: 'lifecycle',
  async run({ config }) {
    const lifecycle = sharesRenditions(config) ? await openStoreLifecycle(config) : undefined
    if (lifecycle === undefined) return [skipped('No renditions are shared through a bucket.')]
    try {
      const days = await lifecycle.expiryDays(RENDITIONS_PREFIX, AbortSignal.timeout(TIMEOUT_MS))
      return [judge(days, lifecycleDays(config.SHARE_RENDITIONS_DAYS))]
    } catch (error) {
      // A node needs no permission to read them.
      return [skipped(`The lifecycle rules of the bucket of STORE cannot be read: ${reasonOf(error)}.`)]
    } finally {
      lifecycle.close()
    }
  },
}

function judge(days: number | undefined, wanted: number): Result {
  if (days === undefined) {
    return warning(`No lifecycle rule deletes old renditions below ${RENDITIONS_PREFIX}: the bucket grows.`, FIX)
  }
  if (days >= wanted) return ok(`The bucket deletes renditions after ${days} days.`)
  const effect = 'before the nodes stop reading them, so they are rendered more often'
  return warning(`The bucket deletes renditions after ${days} days, ${effect}.`, FIX)
}
