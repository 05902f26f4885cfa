import type { SweepMonitor, SweepProgress } from './cache-sweep-passes.ts'

// A thread that blocks in system calls reads no messages: the two sides share these numbers instead.
const STOP = 0
const PROGRESS = ['pass', 'shards', 'totalShards', 'scannedFiles', 'removedFiles'] as const

/** Memory by which a sweep's thread is watched and stopped. */
export function createSweepSignals(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * (1 + PROGRESS.length))
}

export function stopSweep(signals: SharedArrayBuffer): void {
  Atomics.store(new Int32Array(signals), STOP, 1)
}

/** @returns Zeros before the sweep has begun. */
export function readProgress(signals: SharedArrayBuffer): SweepProgress {
  const [, pass = 0, shards = 0, totalShards = 0, scannedFiles = 0, removedFiles = 0] = new Int32Array(signals)
  return { pass, shards, totalShards, scannedFiles, removedFiles }
}

/** The sweep's end of it. */
export function createSweepMonitor(signals: SharedArrayBuffer): SweepMonitor {
  const numbers = new Int32Array(signals)
  return {
    isStopped: () => Atomics.load(numbers, STOP) === 1,
    report(progress) {
      for (const [index, name] of PROGRESS.entries()) numbers[1 + index] = progress[name]
    },
  }
}
