import { bucketsCheck } from './buckets.ts'
import { certificateCheck } from './certificate.ts'
import type { Check } from './check.ts'
import { clockCheck } from './clock.ts'
import { dnsCheck } from './dns.ts'
import { lifecycleCheck } from './lifecycle.ts'
import { nginxFilesCheck } from './nginx-files.ts'
import { proxiesCheck } from './proxies.ts'
import { readinessCheck } from './readiness.ts'
import { replicasCheck } from './replicas.ts'
import { renderCheck } from './render.ts'
import { roundTripCheck } from './round-trip.ts'
import { sinksCheck } from './sinks.ts'

/**
 * The checks that --local omits, by stage. The proxies are those of the requests before; what the node has noticed of all
 * requests, it reports last.
 */
export const NETWORK_STAGES: readonly (readonly Check[])[] = [
  [
    replicasCheck,
    bucketsCheck,
    lifecycleCheck,
    sinksCheck,
    clockCheck,
    dnsCheck,
    certificateCheck,
    renderCheck,
    nginxFilesCheck,
    roundTripCheck,
  ],
  [proxiesCheck],
  [readinessCheck],
]
