// DARKROOM_TOKEN=… node delete-picture.mjs <id>: deletes a picture, and purges it from Varnish.
import { request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

const { DARKROOM_URL = 'http://127.0.0.1:8080', DARKROOM_TOKEN = '', VARNISH_URL = 'http://127.0.0.1:6081' } = process.env
/** After a deletion, another node may serve the picture for up to two seconds. */
const DELETION_SECONDS = 2

export async function deletePicture(id) {
  const deleted = await fetch(`${DARKROOM_URL}/images/${id}`, {
    method: 'DELETE',
    headers: { Authorization: `Bearer ${DARKROOM_TOKEN}` },
  })
  if (!deleted.ok) throw new Error(`${deleted.status}: ${(await deleted.json()).message}`)
  await purge(id)
  // What the cache has fetched from such a node in the meantime.
  await delay((DELETION_SECONDS + 0.5) * 1000)
  await purge(id)
}

/** All sizes and formats of a picture. */
function purge(id) {
  return new Promise((resolve, reject) => {
    const outgoing = request(VARNISH_URL, { method: 'PURGE', headers: { 'X-Cache-Tag': id } }, (response) => {
      response.resume()
      if (response.statusCode === 200) resolve()
      else reject(new Error(`Varnish refuses the purge: ${response.statusCode} ${response.statusMessage}`))
    })
    outgoing.on('error', (cause) => reject(new Error('The picture is deleted, but not purged: run it again', { cause })))
    outgoing.end()
  })
}

if (process.argv[1] === import.meta.filename) await deletePicture(process.argv[2])
