import { type Plan, sizeBeforeTurn } from '../../domain/picture/transform-plan.ts'
import { RENDER_QUEUE_FULL, UnavailableError } from '../../errors.ts'
import type { Place, Viewer } from '../load/admission.ts'

import type { Priority, WorkQueue } from '../load/work-queue.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectSource } from '../ports/store.ts'
import { unlessAborted } from '../tools/coalesce.ts'

/** Renders in the order of the queue. Renditions that wait for the same source are rendered together, from one decode. */
export interface RenderBatcher {
  /** @throws OriginalError, UnavailableError */
  render(job: RenderJob, signal: AbortSignal): Promise<Buffer>
}

export interface RenderJob {
  readonly source: ObjectSource
  /** Equal for jobs of the same source. */
  readonly key: string
  readonly plan: Plan
  readonly priority: Exclude<Priority, 'upload'>
  readonly cost: RenderCost
  /** The place of a viewer in the queue. The batch gives it up when the render begins. */
  readonly place?: Place | undefined
  /** The request that waits for it. A batch waits in the line of the client that began it. */
  readonly viewer?: Viewer | undefined
  /** Called when the render begins. */
  readonly begun?: () => void
}

/** Expected CPU time. */
export interface RenderCost {
  /** Once per batch. */
  readonly decodingMs: number
  readonly encodingMs: number
}

interface Batch {
  readonly members: Member[]
  readonly controller: AbortController
  /** Members that have not left. */
  waiting: number
  /** The render has not begun. */
  isOpen: boolean
}

interface Member extends Pick<RenderJob, 'begun'> {
  readonly plan: Plan
  readonly place: Place | undefined
  left: boolean
  readonly made: PromiseWithResolvers<Buffer>
}

/** Limit of the raw pixels of a shared decode: 12.6 MB. Larger pictures are rendered alone. */
const MAX_SHARED_PIXELS = 2048 * 2048
/** Limits the time of one turn of a renderer. A render ahead takes longer. */
const MAX_MEMBERS = { viewer: 20, background: 4 } as const

export interface RenderBatcherOptions {
  readonly engine: ImageEngine
  readonly renderQueue: WorkQueue
  readonly meter: Meter
  /** Jobs in all batches together; beyond it, a job without a place of its own is refused. */
  readonly maxWaiting: number
}

export function createRenderBatcher({ engine, renderQueue, meter, maxWaiting }: RenderBatcherOptions): RenderBatcher {
  const open = new Map<string, Batch>()
  let waiting = 0

  function begin(key: string | undefined, { source, priority, viewer }: RenderJob, first: Member): Batch {
    const batch: Batch = { members: [first], controller: new AbortController(), waiting: 1, isOpen: true }
    if (key !== undefined) open.set(key, batch)
    const end = () => {
      waiting -= batch.isOpen ? batch.waiting : 0
      batch.isOpen = false
      if (key !== undefined && open.get(key) === batch) open.delete(key)
    }
    const work = async () => {
      end()
      const members = batch.members.filter(({ left }) => !left)
      for (const { place, begun } of members) {
        place?.leave()
        begun?.()
      }
      const began = performance.now()
      const rendered = engine.render(
        source,
        members.map(({ plan }) => plan),
      )
      const settled = rendered.map(async (rendition, index) => {
        const made = members[index]?.made
        try {
          const bytes = await rendition
          meter.rendered((performance.now() - began) / 1000)
          made?.resolve(bytes)
        } catch (error) {
          made?.reject(error)
        }
      })
      // The slot is held until all renditions have ended.
      await Promise.all(settled)
    }
    const place = first.place && placeOfAll(batch)
    const heldBytes = 'bytes' in source ? source.bytes.length : 0
    renderQueue.run(work, batch.controller.signal, { priority, place, viewer, heldBytes }).catch((error: unknown) => {
      end()
      for (const { made } of batch.members) made.reject(error)
    })
    return batch
  }

  return {
    async render(job, signal) {
      signal.throwIfAborted()
      const key = isShareable(job.plan) ? `${job.priority} ${job.key}` : undefined
      const joined = key === undefined ? undefined : open.get(key)
      if (joined && job.place === undefined && waiting >= maxWaiting) {
        throw new UnavailableError('overloaded', RENDER_QUEUE_FULL)
      }
      const hasRoom = joined !== undefined && joined.members.length < MAX_MEMBERS[job.priority]
      const { plan, cost, place, begun } = job
      place?.revise((hasRoom ? 0 : cost.decodingMs) + cost.encodingMs)
      const member: Member = {
        plan,
        place,
        ...(begun && { begun }),
        left: false,
        made: Promise.withResolvers<Buffer>(),
      }
      waiting += 1
      const batch = hasRoom ? join(joined, member) : begin(key, job, member)
      return await unlessAborted(member.made.promise, signal, (reason) => {
        member.left = true
        batch.waiting -= 1
        if (batch.isOpen) waiting -= 1
        if (batch.waiting > 0) return
        // Later jobs begin a new batch.
        if (key !== undefined && open.get(key) === batch) open.delete(key)
        batch.controller.abort(reason)
      })
    },
  }
}

function join(batch: Batch, member: Member): Batch {
  batch.members.push(member)
  batch.waiting += 1
  return batch
}

/** The cost of all members that have not left. */
function placeOfAll({ members }: Batch): Place {
  const places = () => members.flatMap(({ place, left }) => (place && !left ? [place] : []))
  return {
    get costMs() {
      return places().reduce((sum, { costMs }) => sum + costMs, 0)
    },
    revise: () => {},
    leave() {
      for (const place of places()) place.leave()
    },
  }
}

function isShareable(plan: Plan): boolean {
  const { width, height } = sizeBeforeTurn(plan)
  return !plan.animated && width * height <= MAX_SHARED_PIXELS
}
