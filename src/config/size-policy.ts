import { z } from 'zod'
import type { SizePolicy } from '../domain/access/size-policy.ts'
import {
  createSizeSteps,
  isAllowedCombination,
  maxFilesPerPicture,
  type SizeSteps,
} from '../domain/access/size-steps.ts'
import { formatSpec } from '../domain/spec/spec.ts'
import { LIMITS } from './requests.ts'
import { SIZES } from './sizes.ts'

const SizeSettings = z.object({ ...SIZES, MAX_SIDE: LIMITS.MAX_SIDE })
type SizeSettings = Readonly<z.infer<typeof SizeSettings>>

export function sizePolicy(config: SizeSettings): SizePolicy {
  const { SIZE_POLICY, SIZES_FALLBACK, URL_KEYS } = config
  switch (SIZE_POLICY) {
    case 'list':
      return { kind: 'list', sizes: config.SIZES.map(formatSpec), fallback: SIZES_FALLBACK }
    case 'steps':
      return { kind: 'steps', steps: sizeSteps(config), answer: SIZES_FALLBACK === 'redirect' ? 'redirect' : 'picture' }
    case 'signed':
      return { kind: 'signed', keys: URL_KEYS }
    case 'open':
      return { kind: 'open' }
  }
}

function sizeSteps({ SIZE_STEPS: sides, SIZES: sizes, MAX_SIDE: maxSide }: SizeSettings): SizeSteps {
  return createSizeSteps({ sides, sizes, maxSide })
}

/**
 * For `--help`: the most files that one picture can have in the cache with SIZE_POLICY=steps and these settings.
 * @returns undefined if one of them is invalid.
 */
export function mostFilesPerPicture(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim() !== ''))
  const { data } = SizeSettings.safeParse(given)
  return data && maxFilesPerPicture(sizeSteps(data))
}

/** Settings of SIZE_POLICY=steps that exclude each other. @returns the mistakes. */
export function stepsTogether(config: SizeSettings): string[] {
  if (config.SIZE_POLICY !== 'steps') return []
  const steps = sizeSteps(config)
  const unlisted = config.PRIME_SIZES.filter((spec) => !isAllowedCombination(spec, steps)).map(formatSpec)
  const mistakes = unlisted.map(
    (size) => `PRIME_SIZES: "${size}" is not served with SIZE_POLICY=steps; add it to SIZES`,
  )
  const smallest = Math.min(...config.SIZE_STEPS)
  if (smallest > config.MAX_SIDE) {
    mistakes.push(`SIZE_STEPS: the smallest step, ${smallest}, should be at most ${config.MAX_SIDE} (MAX_SIDE)`)
  }
  return mistakes
}
