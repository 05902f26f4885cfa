import { readFile } from 'node:fs/promises'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { isLabel, MAX_LABELS } from '../domain/info/image-labels.ts'
import type { SourceRules } from '../domain/intake/intake-source.ts'
import { parseByteAmount } from '../domain/text/byte-amount.ts'
import { ConfigError } from './env.ts'

/** Labels and limits of the source folders below a spool folder. */
export interface IntakeRules {
  /** By folder, such as `agency` or `agency/sport`. */
  readonly sources: ReadonlyMap<string, SourceRules>
  /** For all other folders. */
  readonly otherwise: SourceRules
}

const FOLDER_RULE = 'should be a folder below the spool folder, such as agency/sport'

const Rules = z.strictObject({
  labels: z
    .array(
      z
        .string('should be a string')
        .refine(isLabel, 'should be 1 to 64 of the characters a-z 0-9 . _ -, and begin with a letter or a digit'),
      'should be a list of labels, such as [news, agency]',
    )
    .max(MAX_LABELS, `should have at most ${MAX_LABELS} labels`)
    .default([]),
  maxBytes: z
    .union([z.string(), z.number()], 'should be a number of bytes such as 20M')
    .transform((value) => parseByteAmount(String(value)))
    .refine((value) => value !== undefined && value > 0, 'should be a number of bytes such as 20M')
    .optional(),
})

const File = z.strictObject({
  sources: z
    .record(
      z
        .string()
        .regex(/^[^/.][^/]*(?:\/[^/.][^/]*)*$/, 'should be a folder below the spool folder, such as agency/sport'),
      Rules,
      'should be a map from folders to their labels and limits',
    )
    .default({}),
  default: Rules.default({ labels: [] }),
})

/** Without a file no source has labels or limits. */
export const NO_INTAKE_RULES: IntakeRules = { sources: new Map(), otherwise: { labels: [] } }

/** @throws ConfigError with all mistakes. */
export async function loadIntakeRules(path: string): Promise<IntakeRules> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new ConfigError(`--sources: ${path} cannot be read`, { cause })
  })
  return parseIntakeRules(text, path)
}

/** @throws ConfigError with all mistakes. */
export function parseIntakeRules(text: string, path: string): IntakeRules {
  const document = parseDocument(text)
  const [mistake] = document.errors
  if (mistake) throw new ConfigError(`--sources: ${path} is not valid YAML: ${mistake.message.split('\n')[0]}`)
  const file = File.safeParse(document.toJS() ?? {})
  if (!file.success) {
    const mistakes = file.error.issues.map((issue) => {
      const message = issue.code === 'invalid_key' ? FOLDER_RULE : issue.message
      return `  ${issue.path.join('.')}: ${message}`
    })
    throw new ConfigError(`--sources: ${path} has mistakes:\n${mistakes.join('\n')}`)
  }
  const { sources, default: otherwise } = file.data
  return {
    sources: new Map(Object.entries(sources).map(([name, rules]) => [name, rulesOf(rules)])),
    otherwise: rulesOf(otherwise),
  }
}

function rulesOf({ labels, maxBytes }: z.infer<typeof Rules>): SourceRules {
  return { labels, ...(maxBytes !== undefined && { maxBytes }) }
}
