import { getImageProps } from 'next/image'
import { notFound } from 'next/navigation'
import { findPicture, signedLoader } from '../../../lib/darkroom.js'

export default async function Page({ params }) {
  const { id } = await params
  const picture = await findPicture(id)
  if (!picture) notFound()
  const { props } = getImageProps({
    ...picture,
    loader: signedLoader,
    alt: 'The uploaded picture',
    sizes: '(max-width: 800px) 100vw, 800px',
    style: { display: 'block', width: '100%', maxWidth: 800, height: 'auto' },
  })
  return <img {...props} />
}
