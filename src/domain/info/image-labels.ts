import { RequestError } from '../../errors.ts'

/** Maximum number of labels of an image. */
export const MAX_LABELS = 20
export const LABEL_PATTERN = /^[a-z0-9][a-z0-9._-]{0,63}$/
export const LABEL_RULE = 'a label has 1 to 64 of the characters a-z 0-9 . _ - and begins with a letter or a digit'
/** Characters of a wrong label that its error repeats. */
const MOST_QUOTED = 70
const MAX_NAME_LENGTH = 255

/** Whether the text is a label. It becomes part of a key in the store. */
export function isLabel(text: string): boolean {
  return LABEL_PATTERN.test(text)
}

/**
 * The labels of an upload: `?labels=cats+2026`, separated by spaces or in repeated parameters.
 *
 * @returns each once, in the given order.
 * @throws RequestError `invalid_upload` if one is not a label, or there are too many.
 */
export function parseLabels(query: URLSearchParams): readonly string[] {
  const labels = [...new Set(query.getAll('labels').flatMap((value) => value.split(' ')))].filter((text) => text !== '')
  const wrong = labels.find((text) => !isLabel(text))
  if (wrong !== undefined) {
    const lower = wrong.toLowerCase()
    const right = isLabel(lower) ? `write "${lower}"` : LABEL_RULE
    throw new RequestError('invalid_upload', `labels: "${wrong.slice(0, MOST_QUOTED)}" is not a label: ${right}`)
  }
  if (labels.length <= MAX_LABELS) return labels
  throw new RequestError('invalid_upload', `labels: ${labels.length} labels given; the limit is ${MAX_LABELS}`)
}

/**
 * The name of a file as its sender gives it: without folders and control characters, at most 255 characters.
 * @returns An empty text if nothing remains.
 */
export function fileName(text: string): string {
  const name = text.split(/[/\\]/).at(-1) ?? ''
  return name
    .replaceAll(/\p{Cc}/gu, '')
    .toWellFormed()
    .trim()
    .slice(0, MAX_NAME_LENGTH)
    .toWellFormed()
}
