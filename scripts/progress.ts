const BAR_WIDTH = 30
const REDRAW_MS = 200

export interface Progress {
  /** 0 to 1. */
  readonly share: number
  /** What the share and the counts mean, such as "counting: 12 images". */
  readonly text: string
}

export interface StoppableWork<T> {
  run(): Promise<T>
  /** Called on the first SIGINT or SIGTERM. A second one ends the process at once. */
  stop(): void
  /** @returns undefined while nothing is known. */
  progress(): Progress | undefined
}

/** Runs work that a signal stops, and draws its progress while standard error is a terminal. */
export async function runWithProgress<T>({ run, stop, progress }: StoppableWork<T>): Promise<T> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  const redraw = process.stderr.isTTY ? setInterval(() => draw(progress()), REDRAW_MS) : undefined
  try {
    return await run()
  } finally {
    clearInterval(redraw)
    clearProgress()
  }
}

/** Clears the line that progress is drawn on. */
export function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

function draw(progress: Progress | undefined): void {
  if (progress === undefined) return
  const bar = '#'.repeat(Math.round(progress.share * BAR_WIDTH)).padEnd(BAR_WIDTH, '-')
  process.stderr.write(`\r[${bar}] ${Math.floor(progress.share * 100)} % ${progress.text}\x1b[K`)
}
