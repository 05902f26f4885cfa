/**
 * A copy of a text that holds no other text in memory. In V8 a part of a text, of 13 characters or more, keeps the whole of
 * it: the id out of a URL with a query of 20 KB keeps those 20 KB for as long as the id is remembered.
 *
 * @see https://bugs.chromium.org/p/v8/issues/detail?id=2869
 */
export function unsharedText(text: string): string {
  // Both directions of JSON are exact for every string, lone surrogates included.
  const copy: unknown = JSON.parse(JSON.stringify(text))
  return String(copy)
}
