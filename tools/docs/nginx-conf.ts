import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const TEMPLATES = join(import.meta.dirname, 'nginx')

/**
 * An nginx configuration: its template in tools/docs/nginx/, in which `{{parts/…}}` stands for a file that both configurations share.
 *
 * @param server A node's nginx, or the front before several nodes.
 * @throws Error for a placeholder without a value.
 */
export function nginxConf(server: 'node' | 'front'): string {
  return expand(readTemplate(`${server}.conf`))
}

/** A placeholder alone on a line takes its indentation to all lines of the value. */
function expand(template: string): string {
  return template.replaceAll(/^( *)\{\{([^{}]+)\}\}$/gm, (_, indent: string, name: string) =>
    valueOf(name)
      .trimEnd()
      .replaceAll(/^(?!$)/gm, indent),
  )
}

function valueOf(name: string): string {
  return expand(readTemplate(name))
}

function readTemplate(name: string): string {
  return readFileSync(join(TEMPLATES, name), 'utf8')
}
