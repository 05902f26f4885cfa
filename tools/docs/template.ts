import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Templates below tools/docs/, and what their placeholders stand for. */
export interface Templates {
  readonly folder: string
  readonly values: ReadonlyMap<string, string>
}

/**
 * Text of a template, in which `{{name}}` stands for a value, and `{{parts/name.conf}}` for a file that several templates share.
 *
 * @throws Error for a placeholder without a value.
 */
export function expandTemplate(name: string, templates: Templates): string {
  return `${expand(name, templates)}\n`
}

function expand(name: string, templates: Templates): string {
  const text = readFileSync(join(import.meta.dirname, templates.folder, name), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => expandLine(line, templates))
    .join('\n')
}

/** All lines of a value have the indentation of the line with its placeholder. */
function expandLine(line: string, templates: Templates): string {
  const indent = line.slice(0, line.search(/\S|$/))
  return line.replaceAll(/\{\{([^{}]+)\}\}/g, (_, name: string) =>
    valueOf(name, templates).replaceAll(/\n(?!\n)/g, `\n${indent}`),
  )
}

function valueOf(name: string, templates: Templates): string {
  if (name.endsWith('.conf')) return expand(name, templates)
  const value = templates.values.get(name)
  if (value === undefined)
    throw new Error(`A template in tools/docs/${templates.folder}/ has {{${name}}}, for which there is no value`)
  return value
}
