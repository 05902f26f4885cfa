/** What a person at the terminal needs for the first upload. */
export interface StartGreeting {
  /** Where the node listens, without a slash at the end. */
  readonly url: string
  /** Absolute path of the file that holds the token. */
  readonly tokenPath: string
  /** Absent: the link to the page is printed without it. */
  readonly token?: string
}

/** Text for standard error. The `curl` line reads the token from its file, so that the shell's history does not hold it. */
export function startGreeting({ url, tokenPath, token }: StartGreeting): string {
  const page = token === undefined ? `${url}/` : `${url}/#token=${encodeURIComponent(token)}`
  const authorization = `"Authorization: Bearer $(cat ${shellWord(tokenPath)})"`
  return `
Upload an image:
  curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' -H ${authorization} ${url}/images
or open in a browser:
  ${page}
Uploads, deletions and access to originals require the token in ${tokenPath}.

`
}

/** Quoted where a POSIX shell would split or expand it. */
function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
