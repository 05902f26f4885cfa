import { jsonLines, nextLink } from './darkroom.mjs'

const FIRST = '/events'

/**
 * Follows `GET /events`, which waits while there are no events. The URL of the next page is saved in the transaction that saves
 * the events, so that after a crash none is missing, and none is processed twice.
 */
export async function followFeed(darkroom, index) {
  await darkroom.repeat(async () => {
    const response = await darkroom.get(index.get('next') ?? FIRST, [400, 410])
    if (response.ok) {
      index.apply(jsonLines(await response.text()), { next: nextLink(response) })
      return
    }
    // The indexer was away for longer than EVENTS_KEEP_DAYS (410), or the database is that of another Darkroom (400).
    const { message, oldest } = await response.json()
    console.error(`indexer: ${message} The images are listed again.`)
    index.apply([], { next: oldest ? `${FIRST}?after=${encodeURIComponent(oldest)}` : undefined, listed: undefined })
  })
}
