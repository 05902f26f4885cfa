import { readFileSync, writeFileSync } from 'node:fs'
import { systemErrorCode } from '../files/disk-trouble.ts'

/** A quarter of a core where another session wants all of it (sched(7): a weight of 335 against 1024). */
const NICENESS = 5
/** Kernels without autogroups, files that a container does not show, and a second change within 100 ms. */
const EXPECTED = new Set(['ENOENT', 'EACCES', 'EPERM', 'EROFS', 'EAGAIN'])

/**
 * Lowers the priority of the session that this process leads, with its renderers. Linux divides the cores among sessions first
 * and looks at the priority of a process only within one (autogroup, sched(7)), so that nginx, in its own session, would not
 * go before busy renderers: under ten times the load that a node can bear, hits waited for seconds. A process that was started
 * from a shell shares the shell's session, which keeps its priority; cgroups with CPU weights replace autogroups.
 */
export function yieldToOtherSessions(): void {
  try {
    if (leadsSession()) writeFileSync('/proc/self/autogroup', String(NICENESS))
  } catch (error) {
    if (!EXPECTED.has(systemErrorCode(error))) throw error
  }
}

/** The name of the program, in parentheses, may have spaces; after it come state, parent, group and session (proc_pid_stat(5)). */
function leadsSession(): boolean {
  const stat = readFileSync('/proc/self/stat', 'latin1')
  const [, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return session === stat.slice(0, stat.indexOf(' '))
}
