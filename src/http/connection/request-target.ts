import { isWithinRoot } from '../../domain/text/percent-encoding.ts'

/**
 * Path and query of a request, whichever way its target names them: a client may write the whole URL, as to a proxy, and
 * then its scheme and its host count for nothing here, nor for nginx.
 *
 * @returns undefined for what is neither, as readers of URLs further in would throw, Koa's among them; and for a path that nginx
 *   takes for no correct request, so that both give the same answer: wrongly percent-encoded, with a NUL, or out of the root.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-3.2
 * @example originForm('http://example.com/image/x?s=1') // '/image/x?s=1'
 */
export function originForm(target: string): string | undefined {
  const form = target.startsWith('/') ? target : afterHost(target)
  if (form === undefined) return undefined
  const [path = ''] = form.split(/[?#]/, 1)
  return isWithinRoot(path) ? form : undefined
}

const ABSOLUTE =
  /^[a-z][a-z0-9+.-]*:\/\/(?:\.?[a-z0-9-]+(?:\.[a-z0-9-]+)*\.?|\[[^/?#\]]*\])(?::\d*)?(?<rest>$|[/?].*)/is

/** What comes after the scheme and the host, if these are as nginx takes them. */
function afterHost(target: string): string | undefined {
  const { rest } = ABSOLUTE.exec(target)?.groups ?? {}
  if (rest === undefined) return undefined
  return rest.startsWith('/') ? rest : `/${rest}`
}
