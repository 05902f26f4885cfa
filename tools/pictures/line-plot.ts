export interface LinePlot {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly series: readonly Series[]
  /** x on a logarithmic scale; all x must be above 0. */
  readonly logX?: boolean
  /** The same for y. */
  readonly logY?: boolean
}

export interface Series {
  readonly name: string
  /** x and y, in the order in which the line goes through them. */
  readonly points: readonly (readonly [x: number, y: number])[]
  /** For what is there to compare with. */
  readonly dashed?: boolean
}

const WIDTH = 860
const HEIGHT = 460
const PLOT = { left: 76, right: 600, top: 48, bottom: 396 } as const
const LEGEND_LEFT = 622
/** Seen on white and on near-black; the first seven are told apart by the colour-blind too. After the last, the first again. */
const COLOURS = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#b58900',
  '#4aa3df',
  '#8a8a8a',
  '#e04f4f',
  '#7d6bd0',
  '#7a9a01',
  '#00a3a3',
]
// As an <img>, an SVG follows the reader's colour scheme by itself.
const STYLE = `
  svg { font: 13px system-ui, sans-serif }
  .paper { fill: #ffffff } text { fill: #1f2328 } .title { font-size: 16px; font-weight: 600 }
  .rule { stroke: #d8dee4 } .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) { .paper { fill: #0d1117 } text { fill: #e6edf3 } .rule { stroke: #30363d } }
`

/** A line for each series, as an SVG document that is readable on light and on dark pages. */
export function linePlot({ title, xLabel, yLabel, series, logX = false, logY = false }: LinePlot): string {
  const points = series.flatMap((each) => each.points)
  const x = createAxis(
    points.map(([value]) => value),
    { from: PLOT.left, to: PLOT.right, log: logX },
  )
  const y = createAxis(
    points.map(([, value]) => value),
    { from: PLOT.bottom, to: PLOT.top, log: logY },
  )
  const middle = (PLOT.top + PLOT.bottom) / 2
  const body = [
    `<text class="title" x="${PLOT.left}" y="26">${escapeXml(title)}</text>`,
    ...x.ticks.map((tick) => verticalRule(x.at(tick), tick)),
    ...y.ticks.map((tick) => horizontalRule(y.at(tick), tick)),
    `<text x="${(PLOT.left + PLOT.right) / 2}" y="${HEIGHT - 16}" text-anchor="middle">${escapeXml(xLabel)}</text>`,
    `<text transform="translate(20 ${middle}) rotate(-90)" text-anchor="middle">${escapeXml(yLabel)}</text>`,
    ...series.map((each, index) => drawSeries(each, { index, x, y })),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
<title>${escapeXml(title)}</title>
<style>${STYLE}</style>
<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>
${body.join('\n')}
</svg>
`
}

interface Axis {
  readonly ticks: readonly number[]
  at(value: number): number
}

function createAxis(values: readonly number[], range: { from: number; to: number; log: boolean }): Axis {
  const scale = range.log ? Math.log10 : (value: number) => value
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const ticks = range.log ? logTicks(least, most) : evenTicks(least, most)
  const [first, last] = [Math.min(least, ticks[0] ?? least), Math.max(most, ticks.at(-1) ?? most)].map(scale)
  const start = first ?? 0
  // All values alike: an axis of one unit around them.
  const length = (last ?? 0) - start || 1
  return { ticks, at: (value) => range.from + ((scale(value) - start) / length) * (range.to - range.from) }
}

/** About six round numbers, the first at or below the least and the last at or above the most. */
function evenTicks(least: number, most: number): number[] {
  const rough = (most - least) / 5 || 1
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10)
  const first = Math.floor(least / step)
  return Array.from({ length: Math.ceil(most / step) - first + 1 }, (_, at) => (first + at) * step)
}

/** 1, 2 and 5 times the powers of ten, those next to the values included. */
function logTicks(least: number, most: number): number[] {
  const powers = Array.from(
    { length: Math.ceil(Math.log10(most)) - Math.floor(Math.log10(least)) + 1 },
    (_, at) => 10 ** (Math.floor(Math.log10(least)) + at),
  )
  const ticks = powers.flatMap((power) => [1, 2, 5].map((factor) => factor * power))
  const first = ticks.findLastIndex((tick) => tick <= least)
  const last = ticks.findIndex((tick) => tick >= most)
  return ticks.slice(Math.max(0, first), last < 0 ? undefined : last + 1)
}

function verticalRule(x: number, value: number): string {
  return `<line class="rule" x1="${round(x)}" x2="${round(x)}" y1="${PLOT.top}" y2="${PLOT.bottom}"/>
<text x="${round(x)}" y="${PLOT.bottom + 20}" text-anchor="middle">${formatTick(value)}</text>`
}

function horizontalRule(y: number, value: number): string {
  return `<line class="rule" x1="${PLOT.left}" x2="${PLOT.right}" y1="${round(y)}" y2="${round(y)}"/>
<text x="${PLOT.left - 8}" y="${round(y) + 4}" text-anchor="end">${formatTick(value)}</text>`
}

function drawSeries({ name, points, dashed }: Series, { index, x, y }: { index: number; x: Axis; y: Axis }): string {
  const colour = COLOURS[index % COLOURS.length]
  const placed = points.map(([px, py]) => [round(x.at(px)), round(y.at(py))] as const)
  const pen = `stroke="${colour}"${dashed ? ' stroke-dasharray="6 4"' : ''}`
  const top = PLOT.top + 8 + index * 22
  return [
    `<polyline class="line" ${pen} points="${placed.map((point) => point.join()).join(' ')}"/>`,
    ...placed.map(([px, py]) => `<circle cx="${px}" cy="${py}" r="3" fill="${colour}"/>`),
    `<line class="line" ${pen} x1="${LEGEND_LEFT}" x2="${LEGEND_LEFT + 26}" y1="${top}" y2="${top}"/>`,
    `<text x="${LEGEND_LEFT + 34}" y="${top + 4}">${escapeXml(name)}</text>`,
  ].join('\n')
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10
}

function formatTick(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 4 })
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
