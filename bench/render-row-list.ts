import type { Source, StoreKind } from './render-originals.ts'
import type { PhotographSource } from './render-photographs.ts'
import type { Output } from './render-subjects.ts'

/** First views of originals, each on servers that have seen none of them. */
export interface ViewRow {
  readonly kind: 'views'
  readonly name: string
  readonly originals: OriginalsKind
  readonly source: Source
  readonly store: StoreKind
  readonly output: Output
  readonly clients: number
  readonly targets: Targets
}

/** Uploads of originals, in comparison with decoding them. */
export interface UploadingRow {
  readonly kind: 'uploading'
  readonly name: string
  readonly originals: OriginalsKind
  readonly targets: Pick<Targets, 'cpuOfSharp'>
}

export type Row = ViewRow | UploadingRow

/** Least rates and greatest costs, as ratios to a peer's. */
export interface Targets {
  readonly rateOfBest?: number
  readonly rateOfIpx?: number
  readonly latencyOfIpx?: number
  readonly cpuOfSharp?: number
  readonly peakMB?: number
}

/** Kinds of originals, and how many of each are viewed: enough CPU time to count in hundredths of a second. */
export const ORIGINALS = {
  '0.3mp': { prefix: '0.3mp-', extension: '.jpg', views: 240 },
  '1mp': { prefix: '1mp-', extension: '.jpg', views: 200 },
  '2mp': { prefix: '2mp-', extension: '.jpg', views: 120 },
  '12mp': { prefix: '12mp-', extension: '.jpg', views: 64 },
  '24mp': { prefix: '24mp-', extension: '.jpg', views: 48 },
  /** 1.4 to 4 MP, with alpha. */
  png: { prefix: 'alpha-', extension: '.png', views: 48 },
  /** 12 MP. */
  webp: { prefix: 'webp-', extension: '.webp', views: 48 },
} as const satisfies Record<string, Omit<PhotographSource, 'folder'> & { readonly views: number }>
export type OriginalsKind = keyof typeof ORIGINALS

/** Of `ViewRow`s whose clients are this many or more, the memory is watched; each client has two views at least. */
export const MANY_CLIENTS = 64
const AVIF_VIEWS = 24

const UPLOAD_RATES = { '0.3mp': 1.3, '1mp': 1.3, '2mp': 2, '12mp': 3.5, '24mp': 6 } as const
type Jpeg = keyof typeof UPLOAD_RATES
const JPEGS = ['0.3mp', '1mp', '2mp', '12mp', '24mp'] as const satisfies readonly Jpeg[]
const NEVER_SEEN = { rateOfIpx: 1, cpuOfSharp: 1.15 } as const
const ALONE = { latencyOfIpx: 1.1 } as const
const CROWD = { peakMB: 250 } as const
const UPLOADING = { cpuOfSharp: 1.5 } as const

const USUAL = { kind: 'views', originals: '12mp', store: 'file', output: 'jpg', clients: 8, targets: {} } as const

/** Every dimension occurs, not every combination. A name says in what a row differs from JPEG to JPEG with 8 clients and an embedded store. */
export const ROWS: readonly Row[] = [
  ...JPEGS.map((originals) => upload(originals, 'file')),
  ...JPEGS.map((originals) => upload(originals, 's3')),
  { ...USUAL, name: 'upload-png', source: 'upload', originals: 'png' },
  { ...USUAL, name: 'upload-webp', source: 'upload', originals: 'webp' },
  { ...USUAL, name: 'upload-12mp-to-webp', source: 'upload', output: 'webp' },
  { ...USUAL, name: 'upload-12mp-to-avif', source: 'upload', output: 'avif' },
  { ...USUAL, name: 'upload-24mp-64clients', source: 'upload', originals: '24mp', clients: 64, targets: CROWD },
  { ...USUAL, name: 'bucket-2mp', source: 'bucket', originals: '2mp', targets: NEVER_SEEN },
  { ...USUAL, name: 'bucket-12mp', source: 'bucket', targets: NEVER_SEEN },
  { ...USUAL, name: 'bucket-24mp', source: 'bucket', originals: '24mp', targets: NEVER_SEEN },
  { ...USUAL, name: 'bucket-12mp-s3', source: 'bucket', store: 's3', targets: NEVER_SEEN },
  { ...USUAL, name: 'bucket-webp', source: 'bucket', originals: 'webp' },
  { ...USUAL, name: 'bucket-12mp-1client', source: 'bucket', clients: 1, targets: ALONE },
  { ...USUAL, name: 'bucket-24mp-64clients', source: 'bucket', originals: '24mp', clients: 64, targets: CROWD },
  { ...USUAL, name: 'remote-2mp', source: 'remote', originals: '2mp', targets: NEVER_SEEN },
  { ...USUAL, name: 'remote-12mp', source: 'remote', targets: NEVER_SEEN },
  { ...USUAL, name: 'remote-12mp-1client', source: 'remote', clients: 1, targets: ALONE },
  { kind: 'uploading', name: 'uploading-2mp', originals: '2mp', targets: UPLOADING },
  { kind: 'uploading', name: 'uploading-12mp', originals: '12mp', targets: UPLOADING },
]

/** They try each way of finding originals, and each format, within seconds. */
export const SMOKE_ROWS: readonly Row[] = [
  { ...USUAL, name: 'upload-png-s3-to-webp', source: 'upload', store: 's3', originals: 'png', output: 'webp' },
  { ...USUAL, name: 'bucket-webp-64clients', source: 'bucket', originals: 'webp', clients: 64 },
  { ...USUAL, name: 'remote-1client-to-avif', source: 'remote', output: 'avif', clients: 1 },
  { kind: 'uploading', name: 'uploading', originals: '12mp', targets: {} },
]

/** Pictures of test/fixtures, small enough for a smoke run. */
export const SMOKE_PREFIXES: Readonly<Record<OriginalsKind, string>> = {
  '0.3mp': 'mountains.jpg',
  '1mp': 'mountains.jpg',
  '2mp': 'mountains.jpg',
  '12mp': 'mountains.jpg',
  '24mp': 'mountains.jpg',
  png: 'fig-alpha.png',
  webp: 'stream.webp',
}

export function viewsOf(row: Row): number {
  const { views } = ORIGINALS[row.originals]
  if (row.kind === 'uploading') return views
  return row.output === 'avif' ? AVIF_VIEWS : Math.max(views, row.clients >= MANY_CLIENTS ? 2 * row.clients : 0)
}

function upload(originals: Jpeg, store: StoreKind): ViewRow {
  const name = store === 'file' ? `upload-${originals}` : `upload-${originals}-s3`
  return { ...USUAL, name, source: 'upload', store, originals, targets: { rateOfBest: UPLOAD_RATES[originals] } }
}
