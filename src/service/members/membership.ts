import { UnavailableError } from '../../errors.ts'
import type { Meter } from '../ports/meter.ts'
import { pause } from '../tools/coalesce.ts'
import { type Claim, UNCHANGED_MS } from './claim.ts'
import type { Roll } from './roll.ts'

/** This node as one of several. */
export interface Membership {
  /**
   * Registers the node. If the store does not respond within two seconds, it returns, and `tick` registers it later.
   * @throws NameTakenError
   */
  join(signal: AbortSignal): Promise<void>
  /** Renews the entry, and looks at the others. To be called every three seconds. Reports its failures. */
  tick(signal: AbortSignal): Promise<void>
  /** Renews the entry at once, after the state of the node has changed. Reports its failures. */
  renew(signal: AbortSignal): Promise<void>
  /** Removes the entry. Reports its failures. */
  leave(signal: AbortSignal): Promise<void>
  /** For operators: why other nodes cannot rely on the entry of this node. */
  readonly trouble: string | undefined
}

/** Another living node has the name. The message says which. */
export class NameTakenError extends Error {}

export interface MembershipOptions {
  readonly claim: Claim
  readonly roll: Pick<Roll, 'look'>
  readonly name: string
  readonly meter: Pick<Meter, 'trouble'>
  /** The name was lost to another process, or found taken after the start. */
  readonly onLost: (message: string) => void
}

const CALL_MS = 2000
const AGAIN_MS = 500
/** An entry has not changed for long enough by then, or its node has renewed it. */
const JOIN_MS = UNCHANGED_MS + 5000
const TROUBLE = 'The entry of this node in the object store could not be renewed: fronts may consider it gone'

export function createMembership({ claim, roll, name, meter, onLost }: MembershipOptions): Membership {
  let isFailing = false
  let isLost = false
  /** Steps run one after another. */
  let last = Promise.resolve()

  const takenBy = (): string => {
    const { address = 'without NODE_ADDRESS', version } = claim.other ?? { version: 'unknown' }
    return `another node has the name "${name}" (${address}, version ${version}): set NODE_NAME to a name that no other node has`
  }

  /** A frozen store must not hold up the start. */
  async function step(signal: AbortSignal) {
    return await claim.step(AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]))
  }

  async function reporting(task: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await task()
      isFailing = false
    } catch (error) {
      if (!isFailing && !signal.aborted) meter.trouble(TROUBLE, error)
      isFailing = true
    }
  }

  async function renewNow(signal: AbortSignal): Promise<void> {
    const state = await claim.step(signal)
    if (state === 'taken' && !isLost) onLost(`The entry of this node was lost: ${takenBy()}`)
    isLost = state === 'taken' || (isLost && state === 'waiting')
  }

  function inTurn(task: () => Promise<void>): Promise<void> {
    last = last.then(task)
    return last
  }

  return {
    async join(signal) {
      const began = performance.now()
      try {
        while ((await step(signal)) !== 'held') {
          if (claim.state === 'taken') throw new NameTakenError(takenBy())
          if (performance.now() - began > JOIN_MS) throw new UnavailableError('store_unavailable', 'The entry changes')
          await pause(AGAIN_MS, signal)
        }
      } catch (error) {
        if (error instanceof NameTakenError || signal.aborted) throw error
        isFailing = true
        meter.trouble(TROUBLE, error)
      }
    },
    tick: (signal) =>
      inTurn(() =>
        reporting(async () => {
          await renewNow(signal)
          await roll.look(signal)
        }, signal),
      ),
    renew: (signal) => inTurn(() => reporting(() => renewNow(signal), signal)),
    leave: (signal) => inTurn(() => reporting(() => claim.release(signal), signal)),
    get trouble() {
      return isLost ? `This node is not registered: ${takenBy()}` : undefined
    },
  }
}
