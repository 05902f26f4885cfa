import { isResourceId, isVersionId, shardedId } from '../identity/image-id.ts'
import { MEZZANINE_LEVELS, MEZZANINE_VERSION, type MezzanineLevel } from '../picture/mezzanine.ts'
import { CHOSEN_FORMATS, type FormatChoice, OUTPUT_FORMATS, type OutputFormat } from '../spec/image-format.ts'

/** Folders of `CACHE_DIR`. nginx reads `renditions`; the rest is the node's own. */
export const CACHE_FOLDERS = {
  renditions: 'renditions',
  mezzanines: 'mezzanines',
  originals: 'originals',
  temporary: 'tmp',
  /** Compiled code of the renderers. */
  code: 'code',
} as const

/** The folders whose files are pictures: what is hidden when an image is deleted, and what a sweep looks through. */
export const PICTURE_FOLDERS = [CACHE_FOLDERS.renditions, CACHE_FOLDERS.mezzanines, CACHE_FOLDERS.originals] as const

/** A file of this name and content at the top of a folder says that a sweep may delete what is in it. */
export const CACHE_MARKER = { name: '.darkroom-cache', content: 'darkroom-cache 1\n' } as const

/**
 * Folder of the flags of overload, relative to `CACHE_DIR`. While there is one that is named as a client's address, nginx refuses
 * by itself most of what this client asks for and what it has not found.
 */
export const OVERLOAD_FLAGS = `${CACHE_FOLDERS.renditions}/.overloaded`
/** The flag for all clients. */
export const EVERYBODY = 'all'

/** Folder of all renditions of an original, relative to `CACHE_DIR/renditions`. */
export function renditionFolder(id: string): string {
  return placeOf(id)
}

/** File of an original, relative to `CACHE_DIR/originals`. */
export function originalFile(id: string): string {
  return placeOf(id)
}

/** File of what was last told of an original that may change, relative to `CACHE_DIR/originals`: among its versions. */
export function noticeFile(resource: string): string {
  return placeOf(resource)
}

/** Folder of the mezzanines of an original, relative to `CACHE_DIR/mezzanines`. */
export function mezzanineFolder(id: string): string {
  return placeOf(id)
}

/** File name of a mezzanine in its folder. */
export function mezzanineFile(level: MezzanineLevel): string {
  return `${MEZZANINE_VERSION}-${level}`
}

/** The inverse of `mezzanineFile`. @returns undefined for a file of another form. */
export function levelOfMezzanine(file: string): MezzanineLevel | undefined {
  return MEZZANINE_LEVELS.find((level) => mezzanineFile(level) === file)
}

/** File name of a rendition in its folder. @param spec Canonical. */
export function renditionFile(spec: string, format: OutputFormat): string {
  return `${spec}.${format}`
}

/**
 * File name of what the URL without an extension answers a class of clients. The class alone does not say which format was
 * right (alpha, animation), so the answer has a name of its own beside the rendition's: a hard link.
 */
export function negotiatedFile(spec: string, choice: FormatChoice, format: OutputFormat): string {
  return `${spec}.auto-${choice}.${format}`
}

/** Every format that such an answer can be stored in, the likeliest first. */
export function negotiatedFormats(choice: FormatChoice): readonly OutputFormat[] {
  return CHOSEN_FORMATS[choice]
}

/** Format of a cached file by its name. @returns undefined for a name that we do not give. */
export function formatOfFile(name: string): OutputFormat | undefined {
  return [...OUTPUT_FORMATS, 'tiff' as const].find((format) => name.endsWith(`.${format}`))
}

/** nginx sends what is in `image` by itself; of a version it cannot know whether it is still the one that counts. */
function placeOf(id: string): string {
  return `${isVersionId(id) || isResourceId(id) ? 'version' : 'image'}/${shardedId(id)}`
}

const PART = 1 / 16
const MOST_BYTES = 128 * 2 ** 20

/**
 * What the in-memory cache may take by default. Held originals and files on their way to the disk may take as much again
 * each, which in a container of 512 MB must leave room for the renderers.
 *
 * @param memoryBytes Of the machine, or what its container may have.
 */
export function defaultMemoryCache(memoryBytes: number): number {
  return Math.min(Math.floor(memoryBytes * PART), MOST_BYTES)
}
