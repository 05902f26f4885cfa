/** What fetching remote images may cost. */
export interface RemoteLimits {
  /** A name, with all servers and tries. */
  readonly dnsTimeoutMs: number
  /** One address, TLS included. Of a host with several, two are tried. */
  readonly connectTimeoutMs: number
  /** From the request to the end of the answer's headers. */
  readonly firstByteTimeoutMs: number
  /** Between two pieces of a body, while the reader takes them. */
  readonly stallTimeoutMs: number
  /** A whole fetch with its wait, its redirections and its body. */
  readonly totalTimeoutMs: number
  readonly maxRedirects: number
  /** At once, an unread body included; as many connections, and as many idle ones. */
  readonly maxCalls: number
  readonly maxCallsPerOrigin: number
  /** That may wait for their turn, at each of the two. Beyond it they fail at once. */
  readonly maxWaitingCalls: number
  /** While no call ends. */
  readonly waitTimeoutMs: number
  /** Whether calls end or not. */
  readonly longestWaitMs: number
}

export const REMOTE_LIMITS = {
  dnsTimeoutMs: 4000,
  connectTimeoutMs: 2000,
  firstByteTimeoutMs: 5000,
  stallTimeoutMs: 5000,
  totalTimeoutMs: 14_000,
  maxRedirects: 5,
  maxCalls: 64,
  maxCallsPerOrigin: 16,
  maxWaitingCalls: 1000,
  waitTimeoutMs: 3000,
  longestWaitMs: 10_000,
} as const satisfies RemoteLimits
