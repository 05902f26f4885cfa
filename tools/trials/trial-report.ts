/** A line of a trial's summary. */
export interface TrialFigure {
  readonly name: string
  /** With its unit. */
  readonly value: string
  /** In words, with whether it is so; absent if the figure is only for information. */
  readonly wanted?: string
  readonly isMet?: boolean
}

/** A figure that must be met. */
export function claim(name: string, value: string, wanted: string, isMet: boolean): TrialFigure {
  return { name, value, wanted, isMet }
}

/** A table in Markdown. */
export function formatFigures(figures: readonly TrialFigure[]): readonly string[] {
  const rows = figures.map(({ name, value, wanted = '', isMet }) => [
    name,
    value,
    isMet === undefined ? wanted : `${wanted}: ${isMet ? 'yes' : 'NO'}`,
  ])
  const all = [['', 'measured', 'required'], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [line(all[0] ?? []), line(['---', '---', '---']), ...rows.map(line)]
}

export function count(value: number): string {
  return value.toLocaleString('en')
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
