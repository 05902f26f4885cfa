import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Has V8 collect all of this process's garbage now. The memory of dead buffers is given back beside the program, for certain
 * only before the next collection: so there are two.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') throw new TypeError('V8 has no gc()')
  Reflect.apply(collect, undefined, [])
  Reflect.apply(collect, undefined, [])
}
