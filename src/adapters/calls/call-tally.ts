import type { CallOutcome, EndpointCalls } from '../../service/ports/calls.ts'

export interface CallTally {
  readonly calls: EndpointCalls
  /** To be called once for each call. */
  ended(outcome: CallOutcome): void
}

/** Counts the calls to an endpoint. */
export function createCallTally(isBreakerOpen: () => boolean): CallTally {
  const outcomes: Record<CallOutcome, number> = {
    ok: 0,
    unreachable: 0,
    timeout: 0,
    busy: 0,
    denied: 0,
    full: 0,
    invalid: 0,
    not_sent: 0,
    canceled: 0,
  }
  return {
    calls: {
      outcomes,
      get isBreakerOpen() {
        return isBreakerOpen()
      },
    },
    ended(outcome) {
      outcomes[outcome] += 1
    },
  }
}
