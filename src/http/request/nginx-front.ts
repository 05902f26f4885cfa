import type { IncomingMessage } from 'node:http'
import type { Degradation } from '../../service/load/access-watch.ts'

/** The nginx in front of this process: whether it sends the files of the cache. */
export interface NginxFront {
  /** nginx's internal location over `CACHE_DIR/renditions`, ending in a slash; empty: there is no nginx. */
  readonly accelPrefix: string
  /** Whether this request came through an nginx with that location. */
  sendsFiles(request: IncomingMessage): boolean
  /** Counts a file that nginx was told to send. */
  pointed(): void
  /** Counts an existing file that nginx could not send. */
  failed(): void
}

export interface NginxFrontOptions {
  readonly accelPrefix: string
  readonly degradation: Degradation
  /** Ms; a clock that is never set back. */
  readonly now: () => number
  /** Permissions of the cache folders, for the log. */
  readonly access: string
}

/** nginx.conf sets it, and overwrites that of a client. */
const PREFIX_HEADER = 'x-darkroom-accel-prefix'
/** How long a problem is reported after its last occurrence, and the window for counting failures. */
const LASTS_MS = 300_000
const WINDOW_MS = 60_000
/** A single failure may be a file that was purged and made again at that moment. */
const LEAST_FAILURES = 2

const BYPASSED =
  'ACCEL_PREFIX is set, but requests do not come through nginx, so this process sends the files itself: send requests to nginx, ' +
  'or unset ACCEL_PREFIX. A custom nginx.conf must set "proxy_set_header X-Darkroom-Accel-Prefix" to the same value'
const UNREADABLE =
  'nginx cannot read files in the cache, so this process sends them: allow the user or the group of the nginx workers to enter ' +
  'CACHE_DIR/renditions and all its parent folders, and compare $hit_tree in nginx.conf with CACHE_DIR'

export function createNginxFront({ accelPrefix, degradation, now, access }: NginxFrontOptions): NginxFront {
  let since = now()
  let pointed = 0
  let failed = 0

  function startWindow(): void {
    if (now() - since < WINDOW_MS) return
    since = now()
    pointed = 0
    failed = 0
  }

  return {
    accelPrefix,
    sendsFiles({ headers }) {
      if (accelPrefix === '') return false
      if (headers[PREFIX_HEADER] === accelPrefix) return true
      degradation.begin(BYPASSED, { lastsMs: LASTS_MS })
      return false
    },
    pointed() {
      startWindow()
      pointed += 1
    },
    failed() {
      startWindow()
      failed += 1
      if (failed < LEAST_FAILURES || failed * 2 < pointed) return
      degradation.begin(UNREADABLE, { cause: new Error(`Folder permissions: ${access}`), lastsMs: LASTS_MS })
    },
  }
}
