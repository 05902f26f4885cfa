const EARLIEST_SECONDS = Date.UTC(2020, 0, 1) / 1000
const SPAN_SECONDS = 4 * 365 * 86_400

/**
 * The mtime that stands for a rendering pipeline, seconds since 1970: a time in 2020-2024, when there was no rendition yet.
 *
 * @param hash Any whole number from 0, of all that decides the bytes.
 */
export function pipelineTime(hash: number): number {
  return EARLIEST_SECONDS + (hash % SPAN_SECONDS)
}

/**
 * Whether a file may be a rendition of this pipeline or of an earlier one. Whatever somebody else wrote, cut or copied carries the
 * time when that was done.
 */
export function isPipelineTime(mtimeSeconds: number): boolean {
  // What was made ahead is a second younger than its pipeline.
  return mtimeSeconds >= EARLIEST_SECONDS && mtimeSeconds <= EARLIEST_SECONDS + SPAN_SECONDS
}
