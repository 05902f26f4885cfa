import { defineProvider } from '@nuxt/image/runtime'

/** `src` is the path of a picture without its size: `/image/{id}`, or `/s3/{bucket}/{key}/-`. */
export default defineProvider({
  getImage(src, { modifiers: { width, height, fit, quality, format } }) {
    const size = box({ width, height, fit })
    const spec = quality ? `${size},q${quality}` : size
    const extension = format ? `.${format === 'jpeg' ? 'jpg' : format}` : ''
    return { url: `${useRuntimeConfig().public.darkroomUrl}${src}/${spec}${extension}` }
  },
})

function box({ width, height, fit = 'cover' }: { width?: number; height?: number; fit?: string }) {
  if (!width) return height ? `${height}h` : 'full'
  if (!height) return `${width}w`
  if (fit === 'inside') return `${width}w${height}h`
  return fit === 'cover' && width === height ? `${width}s` : `${width}w${height}h,${fit}`
}
