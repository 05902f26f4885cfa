import type { QuarantineUse } from '../src/adapters/spool/quarantine.ts'
import type { IntakeCounts, Left } from '../src/service/intake/intake-service.ts'

/**
 * The state of an intake in Prometheus' text format, for the textfile collector of the node exporter.
 * @param now Milliseconds since 1970.
 */
export function ingestMetrics(counts: IntakeCounts, left: Left, quarantine: QuarantineUse, now: number): string {
  const rows: readonly (readonly [name: string, type: 'counter' | 'gauge', help: string, value: number])[] = [
    ['stored_files_total', 'counter', 'Files that the node has stored since the start', counts.stored],
    ['stored_bytes_total', 'counter', 'Bytes that the node has stored since the start', counts.storedBytes],
    ['rejected_files_total', 'counter', 'Files that were moved to the quarantine since the start', counts.rejected],
    ['spool_files', 'gauge', 'Files that the last scan left in the spool folder', left.files],
    ['spool_bytes', 'gauge', 'Bytes that the last scan left in the spool folder', left.bytes],
    ['spool_oldest_age_seconds', 'gauge', 'Age of the oldest file that the last scan left', left.oldestMs / 1000],
    ['node_available', 'gauge', '1 if the node took files at the last scan, else 0', left.unavailable ? 0 : 1],
    ['quarantine_files', 'gauge', 'Files in the quarantine', quarantine.files],
    ['quarantine_bytes', 'gauge', 'Bytes in the quarantine', quarantine.bytes],
    ['last_scan_timestamp_seconds', 'gauge', 'Time of the last scan, in seconds since 1970', Math.round(now / 1000)],
  ]
  return rows
    .map(([name, type, help, value]) => {
      const full = `darkroom_intake_${name}`
      return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${full} ${value}\n`
    })
    .join('')
}
