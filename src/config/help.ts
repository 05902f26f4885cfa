import { z } from 'zod'
import { formatByteAmount } from '../domain/text/byte-amount.ts'
import { SETTING_GROUPS } from './env.ts'
import { alternatives } from './fields.ts'

/** Documentation of a setting, as plain text. */
export interface SettingRow {
  readonly name: string
  readonly about: string
  /** The default value. Absent if there is no fixed one. */
  readonly preset?: string
  /** What applies while the setting is unset, in words. Absent if there is a default value. */
  readonly whenUnset?: string
  /** Absent: any text. */
  readonly allowed?: string
  readonly unit?: string
}

export interface SettingGroup {
  readonly title: string
  readonly rows: readonly SettingRow[]
}

const WIDTH = 100
const INDENT = 6

/** What the JSON Schema of a setting states; see `Facts` for the metadata in it. */
const Stated = z.object({
  description: z.string(),
  type: z.string().optional(),
  enum: z.array(z.string()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  unit: z.string().optional(),
  allowed: z.string().optional(),
  whenUnset: z.string().optional(),
})
type Stated = z.infer<typeof Stated>

/** All settings by group, from the schema. */
export function describeSettings(): readonly SettingGroup[] {
  const groups: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = SETTING_GROUPS
  return Object.entries(groups).map(([title, settings]) => ({
    title,
    rows: Object.entries(settings).map(([name, schema]) => describe(name, schema)),
  }))
}

/** The settings for `--help`, at most 100 columns wide. */
export function formatSettings(): string {
  return describeSettings()
    .map(({ title, rows }) => [title, ...rows.map(formatRow)].join('\n\n'))
    .join('\n\n\n')
}

function describe(name: string, schema: z.ZodType): SettingRow {
  const stated = Stated.parse(z.toJSONSchema(schema, { io: 'input' }))
  const allowed = allowedValues(stated)
  return {
    name,
    about: stated.description,
    ...(stated.whenUnset === undefined
      ? { preset: formatValue(name, schema.safeParse(undefined).data) }
      : { whenUnset: stated.whenUnset }),
    ...(allowed !== undefined && { allowed }),
    ...(stated.unit !== undefined && { unit: stated.unit }),
  }
}

function allowedValues({ allowed, enum: words, type, minimum, maximum = Infinity }: Stated): string | undefined {
  if (allowed !== undefined) return allowed
  if (words !== undefined) return alternatives(words)
  if (minimum === undefined) return undefined
  const kind = type === 'integer' ? 'whole number' : 'number'
  return maximum < Number.MAX_SAFE_INTEGER ? `${kind} from ${minimum} to ${maximum}` : `${kind}, at least ${minimum}`
}

function formatValue(name: string, value: unknown): string {
  if (Array.isArray(value)) return value.join(' ')
  return name.endsWith('_BYTES') && typeof value === 'number' && value >= 1024 ? formatByteAmount(value) : String(value)
}

function formatRow({ name, about, preset, whenUnset, allowed, unit }: SettingRow): string {
  const values = [allowed && `Allowed: ${allowed}.`, unit && `Unit: ${unit}.`].filter((fact) => fact !== undefined)
  const facts = [`Default: ${preset ?? whenUnset}.`, values.join(' ')].filter((fact) => fact !== '')
  const onOneLine = wrap(facts.join(' '))
  return [`  ${name}`, ...wrap(about), ...(onOneLine.length === 1 ? onOneLine : facts.flatMap(wrap))].join('\n')
}

function wrap(text: string): readonly string[] {
  const indent = ' '.repeat(INDENT)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && INDENT + line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line].map((each) => indent + each)
}
