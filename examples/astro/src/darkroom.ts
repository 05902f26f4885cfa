import { createHmac } from 'node:crypto'
import type { ExternalImageService } from 'astro'
import { baseService } from 'astro/assets'

/** `src` is the path of a picture without its size: `/image/{id}`, or `/s3/{bucket}/{key}/-`. */
const service: ExternalImageService = {
  ...baseService,
  getURL({ src, width, height, fit, quality, format }, { service }) {
    const size = box({ width, height, fit })
    const spec = quality ? `${size},q${quality}` : size
    const ext = format === 'jpeg' ? 'jpg' : format
    const signed = ext ? `${src}/${spec}/.${ext}` : `${src}/${spec}`
    return `${service.config.baseURL}${src}/${spec}${ext ? `.${ext}` : ''}${signature(signed)}`
  },
}

function box({ width, height, fit }) {
  if (!width) return 'full'
  if (!height) return `${width}w`
  if (fit !== 'cover') return `${width}w${height}h`
  return width === height ? `${width}s` : `${width}w${height}h,cover`
}

/** For a node with `SIZE_POLICY=signed`. An image service is called on the server and in the build, never in a browser. */
function signature(text: string) {
  const { DARKROOM_URL_KEY } = process.env
  if (!DARKROOM_URL_KEY) return ''
  return `?s=${createHmac('sha256', DARKROOM_URL_KEY).update(text).digest('base64url')}`
}

export default service
