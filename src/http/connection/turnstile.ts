/** Lets one task begin in each turn of the event loop; the others wait in order of arrival. */
export type Turnstile = (task: () => void) => void

export function createTurnstile(): Turnstile {
  const waiting: (() => void)[] = []
  let isTaken = false

  function nextTurn(): void {
    isTaken = false
    const task = waiting.shift()
    if (task) begin(task)
  }

  function begin(task: () => void): void {
    isTaken = true
    setImmediate(nextTurn)
    task()
  }

  return (task) => {
    if (isTaken) waiting.push(task)
    else begin(task)
  }
}
