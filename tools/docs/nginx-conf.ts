import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { NGINX_VALUES } from './nginx-values.ts'

const TEMPLATES = join(import.meta.dirname, 'nginx')

/**
 * An nginx configuration: its template in tools/docs/nginx/, in which `{{name}}` stands for a value, and `{{parts/name.conf}}` for a
 * file that several configurations share.
 *
 * @param server A node's nginx, the front before several nodes, or the redirect to HTTPS that both can include.
 * @throws Error for a placeholder without a value.
 */
export function nginxConf(server: 'node' | 'front' | 'redirect'): string {
  return `${expand(readTemplate(`${server}.conf`))}\n`
}

function expand(template: string): string {
  return template.trimEnd().split('\n').map(expandLine).join('\n')
}

/** All lines of a value have the indentation of the line with its placeholder. */
function expandLine(line: string): string {
  const indent = line.slice(0, line.search(/\S|$/))
  return line.replaceAll(/\{\{([^{}]+)\}\}/g, (_, name: string) => valueOf(name).replaceAll(/\n(?!\n)/g, `\n${indent}`))
}

function valueOf(name: string): string {
  if (name.endsWith('.conf')) return expand(readTemplate(name))
  const value = NGINX_VALUES.get(name)
  if (value === undefined)
    throw new Error(`A template in tools/docs/nginx/ has {{${name}}}, which nginx-values.ts does not define`)
  return value
}

function readTemplate(name: string): string {
  return readFileSync(join(TEMPLATES, name), 'utf8')
}
