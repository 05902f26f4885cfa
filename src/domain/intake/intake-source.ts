/** What a source folder says about its files. */
export interface SourceRules {
  readonly labels: readonly string[]
  /** Larger files are rejected. Absent: the limit of the node. */
  readonly maxBytes?: number
}

/** A file's source: the folder with rules that contains it, or the first folder of its path. */
export interface IntakeSource extends SourceRules {
  /** Empty for a file of the spool folder itself. */
  readonly name: string
}

/**
 * The source of a file.
 *
 * @param path Relative to the spool folder, separated by slashes.
 * @param rules By folder, such as `agency` or `agency/sport`; the longest that contains the file counts.
 * @param otherwise For files of all other folders.
 */
export function sourceOf(path: string, rules: ReadonlyMap<string, SourceRules>, otherwise: SourceRules): IntakeSource {
  const folders = path.split('/').slice(0, -1)
  for (let depth = folders.length; depth > 0; depth -= 1) {
    const name = folders.slice(0, depth).join('/')
    const found = rules.get(name)
    if (found) return { name, ...found }
  }
  return { name: folders[0] ?? '', ...otherwise }
}
