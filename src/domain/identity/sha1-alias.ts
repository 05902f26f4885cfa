import { isImageId } from './image-id.ts'

/** What stands under `aliases/<sha1>`: our id of the image that a client may know by the SHA-1 of its bytes. */
export function formatAlias(id: string): string {
  return id
}

/** The inverse of `formatAlias`. @returns undefined for anything that is no alias. */
export function parseAlias(text: string): string | undefined {
  const id = text.trimEnd()
  return isImageId(id) ? id : undefined
}
