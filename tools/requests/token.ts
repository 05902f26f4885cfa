/** The upload token of the nodes under test, unless a test sets `UPLOAD_TOKENS` itself. */
export const TOKEN = 'a-token-for-tests-only'

/** Headers of a client that may write. */
export const AUTHORIZATION = { Authorization: `Bearer ${TOKEN}` } as const
