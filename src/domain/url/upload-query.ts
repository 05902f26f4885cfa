import { RequestError } from '../../errors.ts'
import { nearestWord } from '../text/edit-distance.ts'

/** What `POST /images` reads from its query. */
const PARAMETERS = ['sizes'] as const

/**
 * Refuses a parameter that would be ignored: its sender believes that it has an effect.
 * @throws RequestError `invalid_upload` with the name that was probably meant, or with those that there are.
 */
export function assertUploadParameters(query: URLSearchParams): void {
  const unknown = [...query.keys()].find((name) => !PARAMETERS.some((known) => known === name))
  if (unknown === undefined) return
  const meant = nearestWord(unknown.toLowerCase(), PARAMETERS, 2)
  const right = meant === undefined ? 'write /images?sizes=400w+800w, or no query' : `did you mean "${meant}"?`
  throw new RequestError('invalid_upload', `"${unknown}" is not a parameter of POST /images: ${right}`)
}
