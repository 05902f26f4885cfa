// DARKROOM_TOKEN=… node upload.mjs photo.jpg
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

const { DARKROOM_URL = 'http://127.0.0.1:8080', DARKROOM_TOKEN = '' } = process.env
const ATTEMPTS = 3

/** Uploads an image. Repeating is safe: the same bytes have the same id. @returns the record. */
export async function uploadImage(bytes) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await fetch(`${DARKROOM_URL}/images`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${DARKROOM_TOKEN}`, 'Content-Type': 'application/octet-stream' },
      body: bytes,
    })
    const answer = await response.json()
    if (response.ok) return answer
    if (response.status < 500 || attempt === ATTEMPTS) throw new Error(`${answer.error}: ${answer.message}`)
    await delay(1000 * Number(response.headers.get('Retry-After') ?? 1))
  }
}

if (process.argv[1] === import.meta.filename) {
  const record = await uploadImage(await readFile(process.argv[2]))
  console.log(record.urls.html)
}
