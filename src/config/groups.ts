import { z } from 'zod'
import { ACCESS, DIALECTS, SERVER, SIZES } from './requests.ts'
import { CACHE, ELSEWHERE, OBJECT_STORE } from './sources.ts'
import { LIMITS, LOGGING, RENDERING } from './work.ts'

/** The settings under the headings of `--help` and docs/settings.md, in their order. */
export const SETTING_GROUPS = {
  'Object store': OBJECT_STORE,
  'Buckets and remote images': ELSEWHERE,
  Cache: CACHE,
  'Server and proxy': SERVER,
  Access: ACCESS,
  'URLs and sizes': SIZES,
  'URLs of other services': DIALECTS,
  Rendering: RENDERING,
  'Limits and timeouts': LIMITS,
  Logging: LOGGING,
} as const

/** The schema of the environment. */
export const Env = z.object({
  ...OBJECT_STORE,
  ...ELSEWHERE,
  ...CACHE,
  ...SERVER,
  ...ACCESS,
  ...SIZES,
  ...DIALECTS,
  ...RENDERING,
  ...LIMITS,
  ...LOGGING,
})
