/** Doubly linked lists of objects, each object in at most one of them: constant time and 9 bytes an object. */
export interface Lists {
  /** The list of an object; undefined if it is in none. */
  listOf(object: number): number | undefined
  pushFront(list: number, object: number): void
  remove(object: number): void
  /** The object at the back of a list; undefined if it is empty. */
  back(list: number): number | undefined
  /** The neighbour towards the front; undefined at the front. */
  ahead(object: number): number | undefined
}

const NONE = -1

export function createLists(objects: number, lists: number): Lists {
  const ahead = new Int32Array(objects).fill(NONE)
  const behind = new Int32Array(objects).fill(NONE)
  const member = new Int8Array(objects).fill(NONE)
  const fronts = new Int32Array(lists).fill(NONE)
  const backs = new Int32Array(lists).fill(NONE)
  const defined = (value = NONE) => (value === NONE ? undefined : value)

  return {
    listOf: (object) => defined(member[object]),
    pushFront(list, object) {
      const front = fronts[list] ?? NONE
      member[object] = list
      ahead[object] = NONE
      behind[object] = front
      if (front === NONE) backs[list] = object
      else ahead[front] = object
      fronts[list] = object
    },
    remove(object) {
      const list = member[object] ?? NONE
      if (list === NONE) return
      const [before, after] = [ahead[object] ?? NONE, behind[object] ?? NONE]
      if (before === NONE) fronts[list] = after
      else behind[before] = after
      if (after === NONE) backs[list] = before
      else ahead[after] = before
      member[object] = NONE
    },
    back: (list) => defined(backs[list]),
    ahead: (object) => defined(ahead[object]),
  }
}
