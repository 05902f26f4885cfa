import { resolve } from 'node:path'
import { type ParsedCommand, parseCommandLine } from './command-line.ts'

export const USAGE = `Usage: scripts/doctor [options]

Checks a node and its surroundings: packages, settings, folders and their permissions, the store and the buckets, clock,
DNS, TLS, a render per format, and the nginx in front. Each finding names its fix. The node may run, but need not.

  --url <url>           URL of this node's own nginx, such as http://127.0.0.1:80; checks that nginx sends files of the
                        cache, and with UPLOAD_TOKENS uploads, views and deletes a small picture
  --nginx-user <name>   user of the nginx workers; default: that of the running workers, else www-data
  --local               check packages, settings, folders and permissions only, without network; for a process manager
  --json                print the report as one line of JSON
  --quiet               print only warnings and failures
  --metrics <file>      also write the result to this file in Prometheus' text format, for the textfile collector of the
                        node exporter; the file is replaced in one step
  --help                print this help

Environment: the settings of the node (docs/settings.md).

Exit code: 0 no failures, although there may be warnings; 1 failures; 2 invalid options.
`

export interface DoctorOptions {
  /** Without a slash at the end. */
  readonly url?: string
  readonly nginxUser?: string
  readonly local: boolean
  readonly json: boolean
  readonly quiet: boolean
  /** Absolute. */
  readonly metrics?: string
}

const FLAGS = {
  url: { type: 'string' },
  'nginx-user': { type: 'string' },
  local: { type: 'boolean' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean' },
  metrics: { type: 'string' },
} as const

/** Parses the command line. @returns the options, or all mistakes. */
export function parseDoctor(args: readonly string[]): ParsedCommand<DoctorOptions> {
  return parseCommandLine(args, { flags: FLAGS }, ({ given }, problems) => {
    const url = given.get('url')?.replace(/\/+$/, '')
    const nginxUser = given.get('nginx-user')
    const metrics = given.get('metrics')
    const local = given.has('local')
    if (url !== undefined && !(/^https?:\/\/[^/]+$/i.test(url) && URL.canParse(url))) {
      problems.push(`--url: "${url}" is not the URL of a server, such as http://127.0.0.1:80`)
    }
    if (url !== undefined && local) problems.push('--url: excludes --local, which uses no network')
    if (metrics === '') problems.push('--metrics: needs the path of a file, such as /run/darkroom-doctor/darkroom.prom')
    return {
      ...(url !== undefined && { url }),
      ...(nginxUser !== undefined && { nginxUser }),
      ...(metrics !== undefined && { metrics: resolve(metrics) }),
      local,
      json: given.has('json'),
      quiet: given.has('quiet'),
    }
  })
}
