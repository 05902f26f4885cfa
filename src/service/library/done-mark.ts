/** The last file up to which all are done, of files that begin in order and end in any order. */
export interface DoneMark {
  /** @returns A function to be called when the file is done. */
  begin(path: string): () => void
  /** The last path before which nothing is in progress; undefined: none. */
  path(): string | undefined
}

export function createDoneMark(): DoneMark {
  const begun: { readonly path: string; isDone: boolean }[] = []
  let last: string | undefined
  return {
    begin(path) {
      const file = { path, isDone: false }
      begun.push(file)
      return () => {
        file.isDone = true
        while (begun[0]?.isDone) last = begun.shift()?.path
      }
    },
    path: () => last,
  }
}
