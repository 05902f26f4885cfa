const MB = 1e6

/** @returns for example "12 MB". */
export function megabytes(bytes: number): string {
  return `${Math.round(bytes / MB)} MB`
}
