import { readFileSync, writeFileSync } from 'node:fs'
import { systemErrorCode } from '../files/new-file.ts'

/** A quarter of a core if another session needs all of it (sched(7): a weight of 335 against 1024). */
const NICENESS = 5
/** Kernels without autogroups, containers without this file, and a second change within 100 ms. */
const EXPECTED = new Set(['ENOENT', 'EACCES', 'EPERM', 'EROFS', 'EAGAIN'])

/**
 * Lowers the priority of the session that this process leads, with its renderers. Linux divides the cores among
 * sessions first, and compares priorities of processes only within a session (autogroup, sched(7)). So nginx, in its
 * own session, would have no precedence over busy renderers: under ten times the capacity of a node, hits waited for
 * seconds. A process that was started from a shell shares the shell's session, which keeps its priority; cgroups with
 * CPU weights replace autogroups.
 */
export function yieldToOtherSessions(): void {
  try {
    if (leadsSession()) writeFileSync('/proc/self/autogroup', String(NICENESS))
  } catch (error) {
    if (!EXPECTED.has(systemErrorCode(error))) throw error
  }
}

/** The program name, in parentheses, may contain spaces; state, parent, group and session follow (proc_pid_stat(5)). */
function leadsSession(): boolean {
  const stat = readFileSync('/proc/self/stat', 'latin1')
  const [, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return session === stat.slice(0, stat.indexOf(' '))
}
