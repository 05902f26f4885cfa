import type { ImageInfo } from '../../domain/info/image-info.ts'
import type { MezzanineLevel } from '../../domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import type { Plan } from '../../domain/picture/transform-plan.ts'
import type { ObjectSource } from './store.ts'

/**
 * Decodes and encodes. Its promises settle only when the work has ended. All throw UnavailableError `disk_unavailable`
 * if the source file is gone.
 */
export interface ImageEngine {
  /**
   * Reads the header.
   * @param head The first bytes, if they are in memory. Most headers then need no file and no other process.
   * @throws OriginalError `original_unsupported`, `original_broken`, or `original_too_large` (pixels or frames).
   */
  inspect(source: ObjectSource, head?: Buffer): Promise<OriginalFacts>
  /**
   * Decodes the whole picture, and makes of the same decoding what `reduce` and `measure` would make.
   * @param levels Absent: nothing is made.
   * @throws OriginalError `original_broken`
   */
  verify(source: ObjectSource, facts: OriginalFacts, levels?: readonly MezzanineLevel[]): Promise<Verified>
  /**
   * Makes a rendition for each plan from one decoding of the source. Each promise settles as soon as its picture is made
   * or has failed: OriginalError `original_broken`; UnavailableError `timed_out`.
   */
  render(source: ObjectSource, plans: readonly Plan[]): readonly Promise<Buffer>[]
  /**
   * Measures the displayed picture, and reads the metadata of the file.
   * @throws OriginalError `original_broken`; UnavailableError `timed_out`
   */
  measure(source: ObjectSource, facts: OriginalFacts): Promise<ImageInfo>
  /**
   * Makes upright sRGB pictures of an original from one decoding, without metadata except its copyright. A level that `worthKeeping`
   * would surely drop may be left out.
   * @throws OriginalError `original_broken`; UnavailableError `timed_out`
   */
  reduce(source: ObjectSource, facts: OriginalFacts, levels: readonly MezzanineLevel[]): Promise<readonly Reduced[]>
}

/** Both are absent also where one decoding does not suffice: for animations, TIFF, SVG, and pictures that decode with warnings. */
export interface Verified {
  readonly reduced?: readonly Reduced[]
  readonly info?: ImageInfo
}

export interface Reduced {
  readonly level: MezzanineLevel
  /** By `mezzanineFormat`. */
  readonly bytes: Buffer
}
