import Image from 'next/image'
import { notFound } from 'next/navigation'
import { findPicture } from '../../../lib/darkroom.js'

export default async function Page({ params }) {
  const { id } = await params
  const picture = await findPicture(id)
  if (!picture) notFound()
  return (
    <main>
      <Image
        {...picture}
        alt="The uploaded picture"
        sizes="(max-width: 800px) 100vw, 800px"
        style={{ display: 'block', width: '100%', maxWidth: 800, height: 'auto' }}
        preload
      />
      <Image {...picture} alt="The same, as a card" width={300} height={225} />
    </main>
  )
}
