import { jsonLines, nextLink } from './darkroom.mjs'

const FIRST = '/images?limit=1000'
/** The clocks of the nodes agree within eight minutes. */
const CLOCKS_MS = 10 * 60_000
const AT_ONCE = 8
const LOOK_EVERY_MS = 250

/**
 * Lists all images: at the first start, and when events were missed. It continues after a restart, and runs beside the events:
 * whichever of the two reports an image first, its version decides.
 */
export async function listAll(darkroom, index) {
  await darkroom.repeat(async () => {
    const listed = index.get('listed')
    if (listed === 'all') return await darkroom.pause(1000)
    const started = listed === undefined ? Date.now() : Number(index.get('listing'))
    const response = await darkroom.get(listed ?? FIRST)
    const records = jsonLines(await response.text())
    const events = records.map(({ id, ...record }) => {
      const data = { id, ...record, version: Date.parse(record.uploadedAt) }
      return { type: 'image.stored', subject: id, data }
    })
    const next = nextLink(response)
    const state = { listing: started, listed: next ?? 'all' }
    // What the list does not contain was deleted by an event that was missed.
    index.applyListed(events, state, { listing: started, isLast: next === undefined, before: started - CLOCKS_MS })
  })
}

/**
 * Reads what events do not contain, such as the model of the camera, from `GET /images/{id}/info`. It is measured soon after
 * the upload; a request before that waits. A failure never delays the events.
 */
export async function readDetails(darkroom, index) {
  await darkroom.repeat(async () => {
    const images = index.withoutDetails(AT_ONCE)
    if (images.length === 0) return await darkroom.pause(LOOK_EVERY_MS)
    const results = await Promise.allSettled(images.map((image) => readOne(darkroom, index, image)))
    if (results.every(({ status }) => status === 'rejected')) throw results[0].reason
  })
}

async function readOne(darkroom, index, { id, version }) {
  try {
    // 404, 410: deleted meanwhile. 422: the picture is damaged.
    const response = await darkroom.get(`/images/${id}/info`, [404, 410, 422])
    index.addDetails({ id, version }, response.ok ? await response.json() : {})
  } catch (error) {
    index.postponeDetails(id)
    throw error
  }
}
