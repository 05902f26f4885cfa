import type { ImageCache } from '../ports/cache.ts'

/**
 * Hides images on this node's disk. A disk that was read-only when an image had to be hidden must not show the image later,
 * so what the disk refused is tried again.
 */
export interface Hiding {
  hide(ids: Iterable<string>): Promise<void>
  hideAll(): Promise<void>
  /** Hides what the disk refused to hide earlier. */
  retry(): Promise<void>
}

export function createHiding(cache: Pick<ImageCache, 'hide' | 'hideAll'>): Hiding {
  const unhidden = new Set<string>()
  let isWiped = true

  async function hide(ids: Iterable<string>): Promise<void> {
    for (const id of await cache.hide(ids)) unhidden.add(id)
  }

  return {
    hide,
    async hideAll() {
      isWiped = await cache.hideAll()
    },
    async retry() {
      if (!isWiped) isWiped = await cache.hideAll()
      const rest = [...unhidden]
      unhidden.clear()
      await hide(rest)
    },
  }
}
