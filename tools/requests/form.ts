/** A form as a browser sends it. @param parts Head and content of each. */
export function form(parts: readonly (readonly [string, Buffer | string])[]): {
  headers: Record<string, string>
  body: Buffer
} {
  const boundary = 'a-boundary'
  const chunks = parts.flatMap(([head, content]) => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ])
  return {
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([...chunks, Buffer.from(`--${boundary}--\r\n`)]),
  }
}
