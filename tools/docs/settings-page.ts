import { describeSettings, type SettingRow } from '../../src/config/help.ts'

const INTRODUCTION = `# Settings

<!-- Generated from src/config/ by "npm run docs". Do not edit. -->

Settings are environment variables, read once at startup; an empty variable counts as unset. \`npm start -- --help\` prints the
same list. Invalid settings are reported together, and the server exits with code 2. A setting of a mode that is off is invalid
too, and so is a variable with nearly the name of a setting: see [deploy.md](deploy.md).

In amounts of bytes, K, M, G and T are powers of 1024.
`

/** The content of docs/settings.md: a table of each group of settings. */
export function settingsPage(): string {
  const groups = describeSettings()
  const names = groups.flatMap(({ rows }) => rows.map(({ name }) => name))
  const tables = groups.map(({ title, rows }) => {
    const head = ['| setting | description | default | allowed values |', '| --- | --- | --- | --- |']
    return ['', `## ${title}`, '', ...head, ...rows.map((row) => tableRow(names, row)), ''].join('\n')
  })
  return `${INTRODUCTION}${tables.join('')}`
}

function tableRow(names: readonly string[], { name, about, preset, whenUnset = '', ...values }: SettingRow): string {
  const { allowed = 'any text', unit } = values
  const range = unit === undefined ? allowed : `${allowed} (${unit})`
  const cells = [about, preset === undefined ? whenUnset : `\`${preset}\``, range]
  return `| \`${name}\` | ${cells.map((cell) => toMarkdown(cell, names)).join(' | ')} |`
}

/** Escapes plain text for a table cell; setting names become code, and pages of docs/ become links. */
function toMarkdown(text: string, names: readonly string[]): string {
  const code = new RegExp(`(\`.*?\`|\\b(?:${names.join('|')})\\b(?:=[\\w:/<>]+|/\\w+)?)`)
  return text
    .split(code)
    .map((part, index) => (index % 2 === 1 ? `\`${part.replaceAll('`', '')}\`` : escapeText(part)))
    .join('')
}

function escapeText(text: string): string {
  const escaped = text.replaceAll(/[<*|]/g, (character) => `\\${character}`)
  return escaped.replaceAll(/\bdocs\/([\w-]+\.md)/g, '[$1]($1)')
}
