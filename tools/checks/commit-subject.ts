const MAX_LENGTH = 72
/** Subjects that git writes itself. */
const WRITTEN_BY_GIT = /^(?:Merge |Revert "|(?:fixup|squash|amend)! )/
const SHAPE = /^(?<area>[a-z0-9][a-z0-9./-]*): (?<words>\S.*)$/
/** Words that begin a description of a state rather than an instruction. */
const NOT_IMPERATIVE = /^(?:a|an|the|it|this|that|who|what|one|no|\w+ing|\w+ed|\w+[^s]s)$/i
/** Imperatives that look like another form. */
const IMPERATIVE = /^(?:bring|need|feed|seed|speed|shed|embed|string|alias|focus|bias)$/i

/**
 * Checks the first line of a commit message: `area: imperative`, at most 72 characters.
 *
 * @returns what is wrong with it and what would be right; undefined if it is fine.
 * @example subjectMistake('cache: adds a limit') // 'Begin the subject with an imperative ("add" rather than …'
 */
export function subjectMistake(subject: string): string | undefined {
  if (WRITTEN_BY_GIT.test(subject)) return undefined
  const { words = '' } = SHAPE.exec(subject)?.groups ?? {}
  if (words === '') return `"${subject}" should be "area: imperative", such as "cache: publish renditions by rename"`
  if (subject.length > MAX_LENGTH)
    return `The subject has ${subject.length} characters; at most ${MAX_LENGTH} are allowed`
  if (words.endsWith('.')) return 'The subject should not end with a full stop'
  const [first = ''] = words.split(/[\s,]/)
  if (!NOT_IMPERATIVE.test(first) || IMPERATIVE.test(first)) return undefined
  return `"${first}" is not an imperative: write "cache: add a limit" rather than "adds", "added" or "a limit is added"`
}
