/** Functions that are called with each value, in the order in which they were added. */
export interface Listeners<T> {
  add(listener: (value: T) => void): void
  tell(value: T): void
}

export function createListeners<T>(): Listeners<T> {
  const listeners: ((value: T) => void)[] = []
  return {
    add(listener) {
      listeners.push(listener)
    },
    tell(value) {
      for (const listener of listeners) listener(value)
    },
  }
}
