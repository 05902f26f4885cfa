import { timingSafeEqual } from 'node:crypto'

/** True if a text from outside is one of the secret ones; how long that takes tells only their lengths. */
export function isOneOf(given: string, secrets: readonly string[]): boolean {
  // The text is compared, not what it decodes to: a decoder skips what it doesn't know, so a URL would have many spellings.
  const bytes = Buffer.from(given)
  const matches = secrets.map((secret) => {
    const expected = Buffer.from(secret)
    return expected.length === bytes.length && timingSafeEqual(expected, bytes)
  })
  return matches.includes(true)
}
