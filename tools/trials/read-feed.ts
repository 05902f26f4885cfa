import { jsonFields } from '../requests/raw-request.ts'
import { AUTHORIZATION } from '../requests/token.ts'

/** By the id of the event. */
export interface ReadFeed {
  /** Different events of stored images. */
  readonly events: number
  readonly duplicates: number
  /** Ids of the stored images. */
  readonly stored: ReadonlySet<string>
  /** Paths of the rejected files. */
  readonly rejected: ReadonlySet<string>
}

const PAGE_EVENTS = 10_000

/** Reads the feed of a node from the oldest event to its end, as a consumer does that deduplicates by the id of the event. */
export async function readWholeFeed(url: string): Promise<ReadFeed> {
  const ids = new Set<string>()
  const [stored, rejected] = [new Set<string>(), new Set<string>()]
  let lines = 0
  for (let next = `/events?wait=0&limit=${PAGE_EVENTS}`; ; ) {
    const response = await fetch(`${url}${next}`, { headers: AUTHORIZATION })
    const text = await response.text()
    if (!response.ok) throw new Error(`GET /events answered ${response.status}: ${text}`)
    const page = text.split('\n').filter((line) => line !== '')
    for (const line of page) {
      const { id, type, subject } = jsonFields(line)
      if (type === 'image.rejected') rejected.add(String(subject))
      if (type !== 'image.stored') continue
      lines += 1
      ids.add(String(id))
      stored.add(String(subject))
    }
    next = /<(?<next>[^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.groups?.['next'] ?? next
    if (page.length === 0) return { events: ids.size, duplicates: lines - ids.size, stored, rejected }
  }
}
