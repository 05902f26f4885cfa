import type { BucketSettings } from '../../src/config/buckets-file.ts'
import type { Config } from '../../src/config/env.ts'
import type { SinkSettings } from '../../src/config/sinks-file.ts'
import type { DoctorOptions } from '../doctor-options.ts'
import type { Result } from './finding.ts'

/** The input of the checks. */
export interface Checked extends DoctorOptions {
  readonly config: Config
  readonly buckets: readonly BucketSettings[]
  readonly sinks: readonly SinkSettings[]
}

/** One look at a node. What it throws becomes a failure. */
export interface Check {
  readonly name: string
  run(checked: Checked): Promise<readonly Result[]>
}
