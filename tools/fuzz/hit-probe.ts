import { Worker } from 'node:worker_threads'
import type { Scope } from '../processes/scope.ts'
import type { Hit, HitProbeData } from './hit-probe-worker.ts'

/** Asks for one picture again and again, from a thread of its own, so that what else this process does is not measured. */
export interface HitProbe {
  /** What was answered since the last call. */
  take(): readonly Hit[]
}

/** @param data Where the picture is. Asking goes on until the scope ends. */
export function startHitProbe(scope: Scope, data: HitProbeData): HitProbe {
  const hits: Hit[] = []
  let failure: Error | undefined
  const worker = new Worker(new URL('./hit-probe-worker.ts', import.meta.url), { workerData: data })
  worker.on('message', (hit: Hit) => void hits.push(hit))
  worker.on('error', (error) => {
    failure = error instanceof Error ? error : new Error(String(error))
  })
  scope.after(() => worker.terminate())
  return {
    take() {
      if (failure) throw failure
      return hits.splice(0)
    },
  }
}
