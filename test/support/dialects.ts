import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatSpec, parseSpec, type Spec } from '../../src/domain/spec/spec.ts'
import { RequestError } from '../../src/errors.ts'

interface Asked {
  readonly source: string
  readonly spec: Spec
  readonly format: string
}

/** What a URL comes to, on one line: `400w300h,cover webp https://…`. */
export function summary({ spec, format, source }: Asked): string {
  return `${formatSpec(spec)} ${format} ${source}`
}

/** Parts that a grammar's paths are put together of: one of the first, some of the middle, one of the last. */
export interface PathParts {
  readonly first: readonly string[]
  readonly middle: readonly string[]
  readonly last: readonly string[]
}

/**
 * Fails unless a parser gives canonical specs and throws nothing but `RequestError`, whatever it is given: paths that its
 * grammar has, such paths with a few characters changed, and anything else.
 */
export function assertRobust(
  parse: (path: string) => { readonly spec?: Spec },
  { first, middle, last }: PathParts,
): void {
  const path = fc
    .tuple(fc.constantFrom(...first), fc.array(fc.constantFrom(...middle), { maxLength: 4 }), fc.constantFrom(...last))
    .map((parts) => `/${parts.flat().join('/')}`)
  const spoilt = fc.tuple(path, fc.nat(80), fc.string({ maxLength: 3 })).map(([text, at, other]) => {
    return `${text.slice(0, at)}${other}${text.slice(at + 1)}`
  })
  let understood = 0
  fc.assert(
    fc.property(fc.oneof(path, spoilt, fc.string()), (text) => {
      const spec = specOf(parse, text)
      if (spec === undefined) return
      understood += 1
      assert.deepEqual(parseSpec(formatSpec(spec)), spec)
    }),
    { numRuns: 3000 },
  )
  assert.ok(understood > 100, `Only ${understood} of 3000 paths were understood: its parts should make more of them`)
}

function specOf(parse: (path: string) => { readonly spec?: Spec }, text: string): Spec | undefined {
  try {
    return parse(text).spec
  } catch (error) {
    assert.ok(error instanceof RequestError, `${text}: ${String(error)}`)
    assert.notEqual(error.message, '')
    return undefined
  }
}
