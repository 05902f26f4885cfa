import type { Scope } from '../../../tools/processes/scope.ts'
import { jsonFields, rawRequest } from '../../../tools/requests/raw-request.ts'
import { TOKEN } from '../../../tools/requests/token.ts'
import type { Attempt, Mistake, Section } from './mistake.ts'
import type { Servers } from './servers.ts'

export interface Asked {
  /** By default GET. */
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
  /** As a person writes it, if that is not the method and the path. */
  readonly shown?: string
}

/** Sends a request. @returns the status with the error, or with the type of the content. */
export async function attempt(origin: string, asked: Asked): Promise<Attempt> {
  const { method = 'GET', path, headers = {}, body, shown = `${method} ${path}` } = asked
  const response = await rawRequest(origin, path, { method, headers, ...(body !== undefined && { body }) })
  const type = (response.headers['content-type'] ?? '').replace(/;.*/, '')
  if (response.status < 400 || type !== 'application/json') {
    const isRedirect = response.status >= 300 && response.status < 400
    const to = isRedirect ? `→ ${response.headers.location}` : type
    return { done: shown, answer: `${response.status} ${to}`.trim() }
  }
  const { error, message } = jsonFields(response.body)
  return { done: shown, answer: `${response.status} ${String(error)}: ${String(message)}` }
}

interface RequestMistake extends Omit<Mistake, 'section' | 'make' | 'works'> {
  readonly wrong: (context: RequestContext) => Asked
  readonly right: (context: RequestContext) => Asked
  /** By default a picture. */
  readonly works?: RegExp
}

export interface RequestContext {
  readonly t: Scope
  readonly origin: string
  /** Of an uploaded picture. */
  readonly id: string
}

const PICTURE = /^200 image\//

/** For a section whose mistakes are requests to one node. */
export const requestMistakes =
  (section: Section, serverOf: (servers: Servers) => Promise<{ readonly url: string; readonly id: string }>) =>
  ({ wrong, right, works = PICTURE, ...mistake }: RequestMistake): Mistake => ({
    ...mistake,
    section,
    works,
    async make(t, servers) {
      const { url, id } = await serverOf(servers)
      const context = { t, origin: url, id }
      return { wrong: await attempt(url, wrong(context)), right: await attempt(url, right(context)) }
    },
  })

/** An upload by curl. @param options Of curl, as a person writes them. */
export function curlUpload(options: string, asked: Partial<Asked> & Pick<Asked, 'body'>): Asked {
  return {
    method: 'POST',
    path: '/images',
    shown: `curl ${options} http://127.0.0.1:8080${asked.path ?? '/images'}`,
    ...asked,
  }
}

/** The header of a client that may write. @param type Content-Type. */
export function writing(type: string): Readonly<Record<string, string>> {
  return { Authorization: `Bearer ${TOKEN}`, ...(type !== '' && { 'Content-Type': type }) }
}

/** The same as an option of curl. */
export const CURL_TOKEN = '-H "Authorization: Bearer $TOKEN"'
