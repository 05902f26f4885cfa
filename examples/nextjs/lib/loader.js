'use client'

/** `src` is the path of a picture without its size: `/image/{id}`, or `/s3/{bucket}/{key}/-`. */
export default function darkroomLoader({ src, width, quality }) {
  const spec = quality ? `${width}w,q${quality}` : `${width}w`
  return `${process.env.NEXT_PUBLIC_DARKROOM_URL}${src}/${spec}`
}
