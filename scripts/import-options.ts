import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { isLabel, MAX_LABELS } from '../src/domain/info/image-labels.ts'
import {
  type CommandLine,
  type ParsedCommand,
  parseCommandLine,
  REPORT_FLAGS,
  type ReportOptions,
  readReportOptions,
} from './command-line.ts'

export const USAGE = `Usage: scripts/import <folder> | s3://<bucket>/<prefix> | reticulum:<folder> [options]

Imports images into the store of a Darkroom node, which may be running: the files of a folder, the objects of a bucket,
or the originals of a Reticulum node. Every image is decoded first, and its container must end. Images that are
stored already stay as they are. The source is only read. The command may be interrupted at any time; the next run
resumes it.

A bucket is on the S3 server of the settings (S3_ENDPOINT and its credentials). An original of Reticulum is verified by
its SHA-1, its id there, which becomes an alias of the new id; the folder is Reticulum's UploadDirectory.

  --labels <labels>        labels of all new images, such as archive+2019
  --state <file>           file that keeps the progress: the run after an interruption skips imported files
  --reticulum <folder>     the same as reticulum:<folder>
  --concurrency <n>        originals that are imported at the same time, 1 to 64; default: the number of CPU cores
  --dry-run                verify the originals and report what would be imported, without changes
  --json                   print the report as one line of JSON
  --quiet                  print only the originals that are refused or damaged
  --help                   print this help

Environment: the settings of the node (docs/settings.md). STORE and its credentials select the store; CACHE_DIR holds
temporary files; INPUT_FORMATS, MAX_UPLOAD_BYTES, MAX_PIXELS and MAX_FRAMES limit the originals that are accepted.

Exit code: 0 all originals are in the store; 1 failed or interrupted; 2 invalid options or settings; 3 originals were
refused or are damaged.
`

export type ImportPlace =
  | { readonly kind: 'folder' | 'reticulum'; readonly folder: string }
  | { readonly kind: 'bucket'; readonly bucket: string; readonly prefix: string }

export interface ImportOptions extends ReportOptions {
  readonly place: ImportPlace
  readonly concurrency: number
  readonly labels: readonly string[]
  readonly stateFile?: string
}

const TEXT = { type: 'string' } as const
const FLAGS = { reticulum: TEXT, concurrency: TEXT, labels: TEXT, state: TEXT, ...REPORT_FLAGS } as const

/** Parses the command line. @returns the options, or all mistakes. */
export function parseImport(args: readonly string[]): ParsedCommand<ImportOptions> {
  return parseCommandLine(args, { flags: FLAGS, hasOperands: true }, (line, problems) => {
    const place = readPlace(line, problems)
    const concurrency = line.given.get('concurrency') ?? String(availableParallelism())
    if (!/^(?:[1-9]|[1-5]\d|6[0-4])$/.test(concurrency)) {
      problems.push(`--concurrency: "${concurrency}" is not a whole number from 1 to 64`)
    }
    const labels = (line.given.get('labels') ?? '').split(/[+ ]/).filter((label) => label !== '')
    const wrong = labels.find((label) => !isLabel(label))
    if (wrong !== undefined) problems.push(`--labels: "${wrong}" should be 1 to 64 of the characters a-z 0-9 . _ -`)
    if (labels.length > MAX_LABELS) problems.push(`--labels: ${labels.length} labels given; the limit is ${MAX_LABELS}`)
    const state = line.given.get('state')
    if (place === undefined) return undefined
    const stateFile = state === undefined ? {} : { stateFile: resolve(state) }
    return { place, concurrency: Number(concurrency), labels, ...stateFile, ...readReportOptions(line) }
  })
}

function readPlace({ given, operands }: CommandLine, problems: string[]): ImportPlace | undefined {
  const reticulum = given.get('reticulum')
  const [text = reticulum === undefined ? undefined : `reticulum:${reticulum}`, ...others] = operands
  if (text === undefined || others.length > 0 || (operands.length > 0 && reticulum !== undefined)) {
    problems.push('name one source: a folder, s3://bucket/prefix, or reticulum:folder (or --reticulum folder)')
    return undefined
  }
  const [, bucket, prefix = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]+)(?:\/(.*))?$/.exec(text) ?? []
  if (bucket !== undefined) return { kind: 'bucket', bucket, prefix }
  if (text.startsWith('s3:')) {
    problems.push(`"${text}" should be s3://bucket or s3://bucket/prefix`)
    return undefined
  }
  const scheme = 'reticulum:'
  if (text.startsWith(scheme)) return { kind: 'reticulum', folder: resolve(text.slice(scheme.length)) }
  return { kind: 'folder', folder: resolve(text) }
}
