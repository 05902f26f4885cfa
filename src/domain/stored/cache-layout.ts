import { isResourceId, isVersionId, shardedId } from '../identity/image-id.ts'
import { MEZZANINE_LEVELS, MEZZANINE_VERSION, type MezzanineLevel } from '../picture/mezzanine.ts'
import { CHOSEN_FORMATS, type FormatChoice, OUTPUT_FORMATS, type OutputFormat } from '../spec/image-format.ts'

/** Folders of `CACHE_DIR`. nginx reads `renditions`; only the node uses the others. */
export const CACHE_FOLDERS = {
  renditions: 'renditions',
  mezzanines: 'mezzanines',
  originals: 'originals',
  temporary: 'tmp',
  /** Compile cache of the renderers and the threads. */
  code: 'code',
} as const

/** Folders of pictures: a deletion hides their files, and a sweep scans them. */
export const PICTURE_FOLDERS = [CACHE_FOLDERS.renditions, CACHE_FOLDERS.mezzanines, CACHE_FOLDERS.originals] as const

/** Marks a folder as a cache, in which a sweep may delete files. */
export const CACHE_MARKER = { name: '.darkroom-cache', content: 'darkroom-cache 1\n' } as const

/**
 * Folder of the overload flags, relative to `CACHE_DIR`. While a flag is named after a client's address, nginx itself
 * rejects most requests of this client that miss the cache.
 */
export const OVERLOAD_FLAGS = `${CACHE_FOLDERS.renditions}/.overloaded`
/**
 * The same for clients that requested too many images that do not exist: nginx rejects their requests for images of which this
 * node has no file.
 */
export const NOT_FOUND_FLAGS = `${CACHE_FOLDERS.renditions}/.not-found`
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

/**
 * File of the last known state of an original that may change, relative to `CACHE_DIR/originals`: beside its versions.
 */
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

/** The inverse of `mezzanineFile`. @returns undefined for any other file. */
export function levelOfMezzanine(file: string): MezzanineLevel | undefined {
  return MEZZANINE_LEVELS.find((level) => mezzanineFile(level) === file)
}

/** File name of a rendition in its folder. @param spec Canonical. */
export function renditionFile(spec: string, format: OutputFormat): string {
  return `${spec}.${format}`
}

/**
 * File name of the response to a URL without an extension, for a class of clients. The class alone does not determine
 * the format (alpha, animation), so the response has a name of its own: a hard link to the rendition.
 */
export function negotiatedFile(spec: string, choice: FormatChoice, format: OutputFormat): string {
  return `${spec}.auto-${choice}.${format}`
}

/** Possible formats of such a file, the most likely first. */
export function negotiatedFormats(choice: FormatChoice): readonly OutputFormat[] {
  return CHOSEN_FORMATS[choice]
}

/** Format of a cached file by its name. @returns undefined for any other name. */
export function formatOfFile(name: string): OutputFormat | undefined {
  return [...OUTPUT_FORMATS, 'tiff' as const].find((format) => name.endsWith(`.${format}`))
}

/** nginx sends files in `image` by itself; it cannot know whether a version is still current. */
function placeOf(id: string): string {
  return `${isVersionId(id) || isResourceId(id) ? 'version' : 'image'}/${shardedId(id)}`
}

const PART = 1 / 16
const MOST_BYTES = 128 * 2 ** 20

/**
 * Default size of the in-memory cache. Held originals and files that wait for the disk may each take the same again,
 * and in a container of 512 MB the renderers need room too.
 *
 * @param memoryBytes Of the machine, or what its container may have.
 */
export function defaultMemoryCache(memoryBytes: number): number {
  return Math.min(Math.floor(memoryBytes * PART), MOST_BYTES)
}
