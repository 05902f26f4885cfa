/** The result of one look at a node. `skipped`: it was not possible, for a reason that is no fault of the node. */
export interface Finding {
  /** Name of the check. */
  readonly check: string
  readonly status: 'ok' | 'warning' | 'failure' | 'skipped'
  /** One sentence: the problem, or the property that is in order. */
  readonly message: string
  /** One sentence with a setting or a command. Present with warnings and failures. */
  readonly fix?: string
  /** The host of the certificate, for a check of several hosts. */
  readonly subject?: string
  /** For monitoring; the names contain the unit. */
  readonly measured?: Readonly<Record<string, number>>
}

/** A finding without the name of its check. */
export type Result = Omit<Finding, 'check'>

export function ok(message: string, measured?: Finding['measured']): Result {
  return { status: 'ok', message, ...(measured && { measured }) }
}

/** The node works, but not as well as it could, or not for long. */
export function warning(message: string, fix: string, measured?: Finding['measured']): Result {
  return { status: 'warning', message, fix, ...(measured && { measured }) }
}

export function failure(message: string, fix: string, measured?: Finding['measured']): Result {
  return { status: 'failure', message, fix, ...(measured && { measured }) }
}

export function skipped(message: string): Result {
  return { status: 'skipped', message }
}

/** Message of an error, with those of its causes, for an operator. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.message === '' && 'code' in error ? String(error.code) : error.message
  return error.cause === undefined ? own : `${own} (${reasonOf(error.cause)})`
}
