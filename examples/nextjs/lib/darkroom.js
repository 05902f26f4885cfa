import 'server-only'
import { createHmac } from 'node:crypto'
import { thumbHashToDataURL } from 'thumbhash'

const { DARKROOM_URL, DARKROOM_TOKEN, DARKROOM_URL_KEY } = process.env

/** Properties for next/image: path, size and a blurred placeholder. `undefined` for an unknown or deleted picture. */
export async function findPicture(id) {
  if (!/^[0-9a-f]{40}$/.test(id)) return undefined
  const response = await fetch(`${DARKROOM_URL}/images/${id}/info`, {
    headers: { Authorization: `Bearer ${DARKROOM_TOKEN}` },
  })
  if (response.status === 404 || response.status === 410) return undefined
  if (!response.ok) throw new Error(`Darkroom: ${response.status}`)
  const { width, height, thumbHash } = await response.json()
  const blurDataURL = thumbHashToDataURL(Buffer.from(thumbHash, 'base64'))
  return { src: `/image/${id}`, width, height, placeholder: 'blur', blurDataURL }
}

/** A loader for `getImageProps` in server components, for a node with `SIZE_POLICY=signed`. */
export function signedLoader({ src, width, quality }) {
  const path = quality ? `${src}/${width}w,q${quality}` : `${src}/${width}w`
  const signature = createHmac('sha256', DARKROOM_URL_KEY).update(path).digest('base64url')
  return `${DARKROOM_URL}${path}?s=${signature}`
}

/** Passes a form with one file on to Darkroom as it arrives, without reading it into memory. */
export async function uploadForm(request) {
  return await fetch(`${DARKROOM_URL}/images`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${DARKROOM_TOKEN}`,
      'Content-Type': request.headers.get('Content-Type') ?? '',
    },
    body: request.body,
    duplex: 'half',
  })
}
