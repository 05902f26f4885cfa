/** Until when (ms since 1970) all images are known to have an event. */
export const RECONCILED_KEY = 'relay/reconciled'

export const NIGHTS_PREFIX = 'relay/nights/'

/** Key of the claim of a node to the reconciliation of a night. @param time Milliseconds since 1970; a night begins at 2:00 UTC. */
export function nightKey(time: number): string {
  const NIGHT_BEGINS_MS = 2 * 3_600_000
  return `${NIGHTS_PREFIX}${new Date(time - NIGHT_BEGINS_MS).toISOString().slice(0, 10)}`
}

/** @returns undefined for any other text than that of a time. */
export function parseReconciled(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
