import type { ImageRecord } from '../../domain/info/image-record.ts'
import { labelKey, labelPrefix, RECORDS_PREFIX, recordKey } from '../../domain/stored/store-layout.ts'
import type { ObjectStore } from '../ports/store.ts'
import { readRecord } from './stored-record.ts'

/** Lists uploads in the order of their ids. */
export interface ImageList {
  /** @throws UnavailableError */
  list(request: ListRequest, signal: AbortSignal): Promise<ListPage>
}

export interface ListRequest {
  /** An id. Empty: from the first image. */
  readonly after: string
  readonly limit: number
  /** Only images with this label. */
  readonly label?: string
}

export interface ListPage {
  readonly records: readonly ImageRecord[]
  /** For the next request. Absent: there are no more. */
  readonly next?: string
}

/** Records that are read at the same time. */
const AT_ONCE = 16

export function createImageList(store: ObjectStore): ImageList {
  async function ids({ after, limit, label }: ListRequest, signal: AbortSignal): Promise<readonly string[]> {
    const found: string[] = []
    const prefix = label === undefined ? RECORDS_PREFIX : labelPrefix(label)
    const start = after === '' ? '' : label === undefined ? recordKey(after) : labelKey(label, after)
    for await (const key of store.list(prefix, start, signal)) {
      const id = /(?<id>[0-9a-f]{40})(?:\.json)?$/.exec(key)?.groups?.['id']
      if (id !== undefined) found.push(id)
      if (found.length > limit) break
    }
    return found
  }

  return {
    async list(request, signal) {
      const found = await ids(request, signal)
      const page = found.slice(0, request.limit)
      const records: ImageRecord[] = []
      for (let at = 0; at < page.length; at += AT_ONCE) {
        const some = await Promise.all(page.slice(at, at + AT_ONCE).map((id) => readRecord(store, id, signal)))
        // A deletion may have removed it since.
        records.push(...some.filter((record) => record !== undefined))
      }
      const last = page.at(-1)
      return { records, ...(found.length > request.limit && last !== undefined && { next: last }) }
    },
  }
}
