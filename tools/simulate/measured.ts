/** A figure of a benchmark. */
export interface Measured {
  readonly value: number
  readonly unit: string
  /** What it is, and which command printed it. */
  readonly source: string
}

/** What the cost model calculates with: change these after a run of the benchmarks, then run `npm run simulate -- --write`. */
export const MEASURED = {
  hitCpu: { value: 15, unit: 'µs', source: 'a hit by nginx alone: `npm run bench -- hits`' },
  firstViewCpu: { value: 10, unit: 'ms', source: 'first view of a 12 MP upload: `npm run bench -- render`' },
  storeReadCpu: {
    value: 1.5,
    unit: 'ms',
    source: 'the part of a first view whose mezzanine is in S3: `npm run bench -- render`',
  },
  uploadCpu: { value: 137, unit: 'ms', source: 'upload of 12 MP until idle: `npm run bench -- render`' },
  originalBytes: { value: 2.3e6, unit: 'bytes', source: 'a photograph of 12 MP: `npm run bench -- sizing`' },
  mezzanineShare: { value: 0.16, unit: '', source: "mezzanines' bytes, of the original's: `npm run bench -- render`" },
  gets: { value: 2, unit: '', source: 'GET for a first view whose mezzanine is in S3: `npm run bench -- sizing`' },
  uploadGets: { value: 7, unit: '', source: 'GET and HEAD for an upload: `npm run bench -- sizing`' },
  uploadPuts: { value: 7, unit: '', source: 'PUT for an upload: `npm run bench -- sizing`' },
  listsPerSecond: { value: 4 / 3, unit: '/s', source: 'LIST of a running node: `npm run bench -- sizing`' },
  sweepSeconds: { value: 10, unit: 's', source: 'one pass over a million files in a sweep: `npm run bench -- purge`' },
} as const satisfies Record<string, Measured>

/** Values by name. */
export type Figures = Readonly<Record<keyof typeof MEASURED, number>>

export const FIGURES: Figures = {
  hitCpu: MEASURED.hitCpu.value,
  firstViewCpu: MEASURED.firstViewCpu.value,
  storeReadCpu: MEASURED.storeReadCpu.value,
  uploadCpu: MEASURED.uploadCpu.value,
  originalBytes: MEASURED.originalBytes.value,
  mezzanineShare: MEASURED.mezzanineShare.value,
  gets: MEASURED.gets.value,
  uploadGets: MEASURED.uploadGets.value,
  uploadPuts: MEASURED.uploadPuts.value,
  listsPerSecond: MEASURED.listsPerSecond.value,
  sweepSeconds: MEASURED.sweepSeconds.value,
}
