import type { Sample } from './encoder-samples.ts'
import type { Judgement } from './image-judges.ts'

/** What an encoder makes of a picture at a wanted quality, between two samples. */
export interface AtQuality {
  readonly bytes: number
  readonly cpuMs: number
  /** The encoder's own scale. */
  readonly quality: number
}

/**
 * What it would take a candidate to make pictures that a measure judges alike.
 *
 * @param samples Of one picture, size and candidate.
 * @param wanted By `measure`. Outside of what was sampled the nearest two samples are continued, no further than
 *   `REACH` of the scale that they span; undefined beyond.
 */
export function atQuality(samples: readonly Sample[], measure: keyof Judgement, wanted: number): AtQuality | undefined {
  const sorted = samples.toSorted((a, b) => a[measure] - b[measure])
  const above = sorted.findIndex((sample) => sample[measure] >= wanted)
  const upper = Math.max(1, above < 0 ? sorted.length - 1 : above)
  const [low, high] = [sorted[upper - 1], sorted[upper]]
  if (low === undefined || high === undefined) return undefined
  const share = (wanted - low[measure]) / (high[measure] - low[measure])
  if (!(share >= -REACH && share <= 1 + REACH)) return undefined
  const between = (from: number, to: number) => from + share * (to - from)
  return {
    // Bytes grow by factors.
    bytes: Math.exp(between(Math.log(low.bytes), Math.log(high.bytes))),
    cpuMs: between(low.cpuMs, high.cpuMs),
    quality: between(low.quality, high.quality),
  }
}

const REACH = 0.5

/** The mean of ratios: such that half as much and twice as much are one. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(mean(values.map((value) => Math.log(value))))
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** SSIMULACRA2 of our default qualities. */
export const DEFAULT_SCORE = 75
const BASE = 'jpg: ours'

/** A candidate at a size, on the mean of the pictures. */
export interface Row {
  readonly longestSide: number
  readonly candidate: string
  /** Bytes, of those of our JPEG of the same quality: the geometric mean of the pictures' ratios. */
  readonly bytesShare: number
  readonly cpuMs: number
  readonly quality: number
  /** How many pictures both could be compared on. */
  readonly pictures: number
}

/** All candidates at all sizes, each picture at the quality that the measure judges as wanted. */
export function atEqualQuality(
  samples: readonly Sample[],
  { measure, wanted }: { readonly measure: keyof Judgement; readonly wanted: number },
): Row[] {
  const bySize = Map.groupBy(samples, (sample) => sample.longestSide)
  return [...bySize].flatMap(([longestSide, ofSize]) => {
    const made = new Map(
      [...Map.groupBy(ofSize, (sample) => sample.candidate)].map(([candidate, ofCandidate]) => {
        const byPicture = Map.groupBy(ofCandidate, (sample) => sample.picture)
        return [candidate, new Map([...byPicture].map(([name, own]) => [name, atQuality(own, measure, wanted)]))]
      }),
    )
    return [...made].map(([candidate, pictures]) => {
      const pairs = [...pictures].flatMap(([name, own]) => {
        const base = made.get(BASE)?.get(name)
        return own && base ? [{ ...own, share: own.bytes / base.bytes }] : []
      })
      return {
        longestSide,
        candidate,
        bytesShare: geometricMean(pairs.map(({ share }) => share)),
        cpuMs: mean(pairs.map(({ cpuMs }) => cpuMs)),
        quality: mean(pairs.map(({ quality }) => quality)),
        pictures: pairs.length,
      }
    })
  })
}
