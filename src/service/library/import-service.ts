import { DamagedFileError, OriginalError, UnavailableError } from '../../errors.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { ImportFile, ImportSource, UnreadablePlace } from '../ports/originals.ts'
import type { AliasService } from './alias-service.ts'
import type { IngestService } from './ingest-service.ts'

/** What an import has done with the originals that it found. */
export interface ImportReport {
  readonly dryRun: boolean
  /** True if it was stopped before the end. */
  readonly stopped: boolean
  readonly found: number
  /** Of a dry run: that would be. */
  readonly imported: number
  readonly importedBytes: number
  /** By an earlier import, or by an upload; also what was deleted here since. */
  readonly alreadyThere: number
  /** Not of the formats that are read here, broken, or too large. */
  readonly refused: number
  /** Cannot be read, or are not what their name says. */
  readonly damaged: number
  readonly seconds: number
}

export interface ImportService {
  /**
   * Takes in all that the source has. It may be ended at any moment, in any way: who runs it again goes on where it was.
   * @throws UnavailableError if the store, or this node's disk, goes on failing.
   */
  run(signal: AbortSignal): Promise<ImportReport>
  /** Ends `run` when what is under way is done. */
  stop(): void
  progress(): ImportReport & { readonly doneShare: number }
}

export interface ImportServiceOptions {
  readonly source: ImportSource
  readonly ingest: IngestService
  readonly aliases: AliasService
  readonly engine: Pick<ImageEngine, 'inspect'>
  /** Originals at once. */
  readonly concurrency: number
  /** Look, check and count, and write nothing. */
  readonly dryRun: boolean
  /** Told of each original that is not taken in, and why. */
  readonly onProblem: (path: string, problem: string) => void
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>
}

/** A store may be away for a moment within hours of work. */
const PAUSES_MS = [1000, 2000, 4000, 8000]

export function createImportService(options: ImportServiceOptions): ImportService {
  const { source, ingest, aliases, engine, concurrency, dryRun, onProblem, pause } = options
  const counts = { found: 0, imported: 0, importedBytes: 0, alreadyThere: 0, refused: 0, damaged: 0 }
  const began = performance.now()
  const state = { doneShare: 0, stopped: false }

  async function take(file: ImportFile | UnreadablePlace, signal: AbortSignal): Promise<void> {
    if ('problem' in file) {
      report('damaged', file.path, file.problem)
      return
    }
    counts.found += 1
    state.doneShare = Number.parseInt(file.sha1.slice(0, 4), 16) / 0x1_00_00
    try {
      await takeIn(file, signal)
    } catch (error) {
      if (error instanceof DamagedFileError) report('damaged', file.path, error.message)
      else if (error instanceof OriginalError || isTooSlow(error)) report('refused', file.path, error.message)
      else throw error
    }
  }

  function report(outcome: 'refused' | 'damaged', path: string, problem: string): void {
    counts[outcome] += 1
    onProblem(path, problem)
  }

  async function takeIn(file: ImportFile, signal: AbortSignal): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await takeInOnce(file, signal)
        return
      } catch (error) {
        const pauseMs = PAUSES_MS[attempt]
        if (!(error instanceof UnavailableError) || isTooSlow(error) || pauseMs === undefined) throw error
        await pause(pauseMs, signal)
      }
    }
  }

  /** The alias is written last, so what has one need not be looked at again. */
  async function takeInOnce(file: ImportFile, signal: AbortSignal): Promise<void> {
    if ((await aliases.find(file.sha1, signal)) !== undefined) {
      counts.alreadyThere += 1
      return
    }
    const bytes = dryRun ? await check(file) : await store(file, signal)
    counts.imported += 1
    counts.importedBytes += bytes
  }

  async function store(file: ImportFile, signal: AbortSignal): Promise<number> {
    const { record } = await ingest.ingest(source.open(file), signal)
    await aliases.add(file.sha1, record.id, signal)
    return record.bytes
  }

  async function check(file: ImportFile): Promise<number> {
    let bytes = 0
    const chunks: AsyncIterable<Buffer> = source.open(file)
    for await (const chunk of chunks) bytes += chunk.length
    await engine.inspect({ path: file.path })
    return bytes
  }

  function result(): ImportReport {
    return { dryRun, stopped: state.stopped, ...counts, seconds: (performance.now() - began) / 1000 }
  }

  return {
    async run(signal) {
      const files = source.files()[Symbol.asyncIterator]()
      const work = async () => {
        for (let next = await files.next(); !next.done && !state.stopped; next = await files.next()) {
          await take(next.value, signal).catch((error: unknown) => {
            state.stopped = true
            throw error
          })
        }
      }
      // All of them end before it is said that one has failed.
      const ends = await Promise.allSettled(Array.from({ length: concurrency }, work))
      for (const end of ends) if (end.status === 'rejected') throw end.reason
      return result()
    },
    stop() {
      state.stopped = true
    },
    progress: () => ({ ...result(), doneShare: state.doneShare }),
  }
}

/** An original that takes a decoder too long does so every time. */
function isTooSlow(error: unknown): error is UnavailableError {
  return error instanceof UnavailableError && error.code === 'timed_out'
}
