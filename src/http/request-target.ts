/**
 * Path and query of a request, whichever way its target names them: a client may write the whole URL, as to a proxy, and
 * then its host counts for nothing here.
 *
 * @returns undefined for what is neither; readers of URLs further in would throw, Koa's among them.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-3.2
 * @example originForm('http://example.com/image/x?s=1') // '/image/x?s=1'
 */
export function originForm(target: string): string | undefined {
  if (target.startsWith('/')) return target
  const { rest } = /^https?:\/\/[^/?#]*(?<rest>[^#]*)$/is.exec(target)?.groups ?? {}
  if (rest === undefined) return undefined
  return rest.startsWith('/') ? rest : `/${rest}`
}
