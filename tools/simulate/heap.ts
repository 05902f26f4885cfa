/** A binary heap of whole numbers. */
export interface Heap {
  push(item: number): void
  /** Removes the first item; undefined if there is none. */
  pop(): number | undefined
}

/** @param isBefore The order, which must not change for items in the heap. */
export function createHeap(capacity: number, isBefore: (one: number, other: number) => boolean): Heap {
  const heap = new Int32Array(capacity)
  let size = 0
  const comesFirst = (one: number, other: number) => isBefore(heap[one] ?? 0, heap[other] ?? 0)
  const swap = (one: number, other: number): void => {
    const held = heap[one] ?? 0
    heap[one] = heap[other] ?? 0
    heap[other] = held
  }
  return {
    push(item) {
      let place = size
      heap[place] = item
      size += 1
      while (place > 0) {
        const parent = (place - 1) >>> 1
        if (!comesFirst(place, parent)) break
        swap(place, parent)
        place = parent
      }
    },
    pop() {
      if (size === 0) return undefined
      const top = heap[0]
      size -= 1
      heap[0] = heap[size] ?? 0
      let place = 0
      for (;;) {
        const child = 2 * place + 1
        if (child >= size) break
        const first = child + 1 < size && comesFirst(child + 1, child) ? child + 1 : child
        if (!comesFirst(first, place)) break
        swap(place, first)
        place = first
      }
      return top
    },
  }
}
