import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import { readWhole } from '../../src/service/tools/small-object.ts'
import { filesBelow } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'
import type { Indexer } from '../servers/indexer.ts'
import type { ReadFeed } from './read-feed.ts'
import type { Sent } from './senders.ts'
import type { TrialFile } from './trial-files.ts'
import { claim, count, seconds, type TrialFigure } from './trial-report.ts'

const MAX_IMAGE_BYTES = 2 ** 24
const never = new AbortController().signal

/** Names and sizes, as the part of a file that was cut has the name of the whole. */
export async function quarantined(spool: string, user: string): Promise<readonly RejectedFile[]> {
  const folder = join(spool, '.quarantine')
  const reasons = (await filesBelow(folder)).filter((name) => name.endsWith('.json'))
  return await Promise.all(
    reasons.map(async (reason) => {
      const { file, bytes } = jsonFields(await readFile(join(folder, reason)))
      return { name: String(file).slice(user.length + 1), sizeBytes: Number(bytes) }
    }),
  )
}

interface RejectedFile {
  readonly name: string
  readonly sizeBytes: number
}

interface Stored {
  readonly originals: ReadonlySet<string>
  readonly records: ReadonlySet<string>
  /** Originals whose bytes are not those of their id. */
  readonly damaged: number
}

export async function readStore(store: ObjectStore): Promise<Stored> {
  const [originals, records] = [new Set<string>(), new Set<string>()]
  let damaged = 0
  for await (const key of store.list('originals/', '', never)) {
    const id = key.slice(key.lastIndexOf('/') + 1)
    const object = await store.open(key, never)
    const hash =
      object &&
      createHash('sha256')
        .update(await readWhole(object, MAX_IMAGE_BYTES))
        .digest('hex')
    if (!hash?.startsWith(id)) damaged += 1
    originals.add(id)
  }
  for await (const key of store.list('records/', '', never))
    records.add(key.slice(key.lastIndexOf('/') + 1).split('.')[0] ?? '')
  return { originals, records, damaged }
}

interface Facts {
  readonly user: string
  readonly all: readonly TrialFile[]
  readonly stored: Stored
  readonly feed: ReadFeed
  readonly indexer: Indexer
  readonly rejected: readonly RejectedFile[]
}

export function verdicts({ user, all, stored, feed, indexer, rejected }: Facts): readonly TrialFigure[] {
  const of = (kind: TrialFile['kind']): readonly TrialFile[] => all.filter((file) => file.kind === kind)
  const [whole, truncated, flipped] = [of('whole'), of('truncated'), of('flipped')]
  const known = new Set([...whole, ...flipped].map(({ id }) => id))
  const isStored = ({ id }: TrialFile): boolean => stored.originals.has(id) && stored.records.has(id)
  const strangers = [...stored.originals, ...stored.records].filter((id) => !known.has(id))
  const inQuarantine = new Set(rejected.map(({ name, sizeBytes }) => `${name} ${sizeBytes}`))
  const isRejected = ({ name, sizeBytes }: TrialFile): boolean => inQuarantine.has(`${name} ${sizeBytes}`)
  const undecided = flipped.filter((file) => isStored(file) === isRejected(file))
  const unreported = [...stored.records].filter((id) => !feed.stored.has(id) || !indexer.subjects.has(id))
  const wholeStored = whole.filter(isStored).length
  const refused = truncated.filter(isRejected).length
  const silent = rejected.filter(({ name }) => !feed.rejected.has(`${user}/${name}`))
  const duplicates = [...indexer.subjects.values()].reduce((sum, often) => sum + often - 1, 0)
  return [
    claim('whole images stored', count(wholeStored), count(whole.length), wholeStored === whole.length),
    claim('truncated images in the quarantine', count(refused), count(truncated.length), refused === truncated.length),
    claim(
      `images with a flipped bit: ${count(flipped.filter(isStored).length)} decode and are stored, the others are in the quarantine`,
      count(flipped.length - undecided.length),
      count(flipped.length),
      undecided.length === 0,
    ),
    claim('stored partial files', count(strangers.length), '0', strangers.length === 0),
    claim('originals whose bytes differ from their id', count(stored.damaged), '0', stored.damaged === 0),
    claim(
      'originals, records, different events in the feed',
      [stored.originals.size, stored.records.size, feed.events].map(count).join(', '),
      'equal',
      stored.originals.size === stored.records.size && feed.events === stored.records.size,
    ),
    claim(
      'stored images without an event in the feed or at the webhook',
      count(unreported.length),
      '0',
      unreported.length === 0,
    ),
    claim(
      'names in the quarantine without an event of rejection in the feed',
      count(silent.length),
      '0',
      silent.length === 0,
    ),
    { name: 'repeated deliveries to the webhook', value: count(duplicates) },
  ]
}

export function sentFigures(sessions: readonly Sent[], kills: number): readonly TrialFigure[] {
  const sums = (['ftp', 'ftps', 'sftp'] as const).map((protocol) => {
    const own = sessions.filter((each) => each.protocol === protocol)
    const sum = (field: 'files' | 'cuts' | 'failures'): string =>
      count(own.reduce((total, each) => total + each[field], 0))
    return {
      name: `${protocol}, ${own.length} sessions`,
      value: `${sum('files')} files, ${sum('cuts')} cut by FIN or RST, ${sum('failures')} failed attempts`,
    }
  })
  return [...sums, { name: 'kill -9 of nodes, the relay, ProFTPD and the intake', value: String(kills) }]
}

export function timeFigures(
  files: number,
  { sentMs, emptyMs }: { sentMs: number; emptyMs: number },
): readonly TrialFigure[] {
  return [
    {
      name: 'time',
      value: `${seconds(sentMs)} to send, ${seconds(emptyMs)} to store: ${((files / emptyMs) * 1000).toFixed(1)} files/s`,
    },
  ]
}
