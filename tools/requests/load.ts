import { setTimeout as delay } from 'node:timers/promises'
import { assertPicture, type Picture } from '../pictures/picture.ts'
import type { Scope } from '../processes/scope.ts'
import { type Answer, ask } from './ask.ts'

const VIEWERS = 4
const FROM_WIDTH = 40

/** What viewers saw. Anything else than a picture or a clean 503 fails the load. */
export interface Seen {
  pictures: number
  unavailable: number
  /** Of all pictures. */
  bytes: number
}

export interface Load {
  readonly seen: Seen
  /** Ends it. @throws what was wrong with an answer. */
  stop(): Promise<Seen>
  /** Resolves when that many more answers have come. @throws as `stop`. */
  goOnFor(answers: number): Promise<void>
}

/**
 * Viewers who ask for all pictures in ever new widths, explicit and negotiated, and now and then for one that they have
 * seen, and decode all that they get; until the test ends.
 *
 * @param onOther Called for each answer that is no 200; what it throws fails the load.
 */
export function startLoad(
  t: Scope,
  url: string,
  pictures: readonly Picture[],
  onOther: (answer: Answer) => void,
): Load {
  const seen: Seen = { pictures: 0, unavailable: 0, bytes: 0 }
  const state = { stopped: false }
  let turn = 0

  const view = async (): Promise<void> => {
    while (!state.stopped) {
      turn += 1
      const picture = pictures[turn % pictures.length]
      if (picture === undefined) throw new RangeError('There are no pictures to look at')
      const width = FROM_WIDTH + (turn % 3 === 0 ? 0 : Math.floor(turn / pictures.length) % 150)
      const explicit = turn % 4 !== 0
      const path = `/image/${picture.id}/${width}w${explicit ? '/x.jpg' : ''}`
      const answer = await ask(`${url}${path}`, { headers: { Accept: 'image/webp' } })
      if (answer.status !== 200) {
        onOther(answer)
        seen.unavailable += 1
        continue
      }
      await assertPicture(answer.body, { format: explicit ? 'jpeg' : 'webp', width })
      seen.pictures += 1
      seen.bytes += answer.body.length
    }
  }
  const views = Promise.all(
    Array.from({ length: VIEWERS }, () =>
      view().finally(() => {
        state.stopped = true
      }),
    ),
  )
  // Whoever stops it hears of it; until then it is nobody's.
  views.catch(() => {})
  t.after(() => {
    state.stopped = true
  })

  return {
    seen,
    async stop() {
      state.stopped = true
      await views
      return seen
    },
    async goOnFor(answers) {
      const enough = seen.pictures + seen.unavailable + answers
      while (!state.stopped && seen.pictures + seen.unavailable < enough) await delay(5)
      if (state.stopped) await views
    },
  }
}
