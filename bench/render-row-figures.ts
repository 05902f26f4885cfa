import { type Figure, median } from './measure.ts'
import type { Load } from './render-load.ts'
import type { Targets, UploadingRow, ViewRow } from './render-row-list.ts'

const OURS = 'ours'
const IPX = 'ipx'
const SHARP = 'sharp'

type Loads = ReadonlyMap<string, readonly Load[]>

/** Ratios of medians to the peers', and the medians. @param loads By subject, a value a round. */
export function viewFigures({ name, targets }: ViewRow, loads: Loads): Figure[] {
  const of = (subject: string, field: keyof Load) => medianOf(loads, subject, field)
  const ratio = (subject: string, field: keyof Load) => of(OURS, field) / of(subject, field)
  const best = of(IPX, 'donePerSecond') >= of(SHARP, 'donePerSecond') ? IPX : SHARP
  return [
    { name: `${name}: rate, of the best peer's`, value: ratio(best, 'donePerSecond'), ...atLeast(targets.rateOfBest) },
    { name: "  rate, of ipx's", value: ratio(IPX, 'donePerSecond'), ...atLeast(targets.rateOfIpx) },
    { name: "  median time, of ipx's", value: ratio(IPX, 'p50Ms'), ...atMost(targets.latencyOfIpx) },
    { name: "  CPU until idle, of sharp's", value: ratio(SHARP, 'cpuToIdleMs'), ...atMost(targets.cpuOfSharp) },
    { name: "  CPU until idle, of ipx's", value: ratio(IPX, 'cpuToIdleMs') },
    ...[...loads.keys()].flatMap((subject) => loadFigures(subject, loads, targets)),
  ]
}

/** What an upload costs, as a multiple of one decoding. @param loads Of `ours` and `sharp`. */
export function uploadingFigures({ name, targets }: UploadingRow, loads: Loads): Figure[] {
  const of = (subject: string, field: keyof Load) => medianOf(loads, subject, field)
  const decode = of(SHARP, 'cpuToIdleMs')
  return [
    {
      name: `${name}: CPU until idle, of a decoding's`,
      value: of(OURS, 'cpuToIdleMs') / decode,
      ...atMost(targets.cpuOfSharp),
    },
    { name: "  CPU until the answer, of a decoding's", value: of(OURS, 'cpuToAnswerMs') / decode },
    { name: '  uploads of a core', value: 1000 / of(OURS, 'cpuToIdleMs'), unit: 'per second' },
    ...loadFigures(OURS, loads, {}),
    { name: '  sharp: a decoding of all pixels', value: decode, unit: 'ms of CPU' },
  ]
}

function loadFigures(subject: string, loads: Loads, { peakMB }: Targets): Figure[] {
  const of = (field: keyof Load) => medianOf(loads, subject, field)
  const failed = (loads.get(subject) ?? []).reduce((sum, load) => sum + load.failed, 0)
  const peak = of('peakMB')
  return [
    { name: `  ${subject}`, value: of('donePerSecond'), unit: 'per second' },
    { name: '    CPU for one, until the answer', value: of('cpuToAnswerMs'), unit: 'ms' },
    { name: '    CPU for one, until idle', value: of('cpuToIdleMs'), unit: 'ms' },
    { name: '    median time', value: of('p50Ms'), unit: 'ms' },
    { name: '    p99', value: of('p99Ms'), unit: 'ms' },
    { name: '    bytes of one', value: of('medianKB'), unit: 'kB' },
    { name: '    failed', value: failed, unit: 'requests', ...(subject === OURS && { wanted: '0' }) },
    { name: '    memory when idle', value: of('idleMB'), unit: 'MB' },
    ...(Number.isNaN(peak)
      ? []
      : [{ name: '    peak memory', value: peak, unit: 'MB', ...(subject === OURS && atMost(peakMB)) }]),
  ]
}

function medianOf(loads: Loads, subject: string, field: keyof Load): number {
  return median((loads.get(subject) ?? []).flatMap((load) => load[field] ?? []))
}

function atLeast(target: number | undefined): { readonly wanted?: string } {
  return target === undefined ? {} : { wanted: `>= ${target}` }
}

function atMost(target: number | undefined): { readonly wanted?: string } {
  return target === undefined ? {} : { wanted: `<= ${target}` }
}
