import { RequestError } from '../../errors.ts'
import { isImageId, type ObjectRef, type RemoteRef } from '../identity/image-id.ts'
import { parseRemoteUrl } from '../network/remote-hosts.ts'
import { parseJson } from '../text/json-text.ts'
import { isLabel } from './image-labels.ts'

/** What a purge names. A list may be empty, but not all of them. */
export interface PurgeRequest {
  /** Of uploads. */
  readonly ids: readonly string[]
  readonly keys: readonly ObjectRef[]
  /** Each stands for all keys of its bucket that begin with its `key`, which is not empty. */
  readonly prefixes: readonly ObjectRef[]
  readonly urls: readonly RemoteRef[]
  /** As in `URL.host`: with the port, unless it is that of https. */
  readonly hosts: readonly string[]
  readonly labels: readonly string[]
}

/** Maximum number of entries of a request, in all lists together. */
export const MAX_PURGED = 1000
const MOST_QUOTED = 80
const EXAMPLE = '{"ids": ["<id>"], "prefixes": ["photos/2024/"]}'

/** One list of the body. */
interface EntryRule<T> {
  readonly parse: (text: string) => T | undefined
  readonly rule: string
}

const ID: EntryRule<string> = {
  parse: (text) => (isImageId(text.toLowerCase()) ? text.toLowerCase() : undefined),
  rule: 'the id of an upload, 40 hexadecimal digits',
}
const KEY: EntryRule<ObjectRef> = {
  parse: parseObject,
  rule: 'the alias of a bucket, a slash and a key, as in "photos/2024/cat.jpg"',
}
const PREFIX: EntryRule<ObjectRef> = {
  parse: parseObject,
  rule: 'the alias of a bucket, a slash and a prefix that is not empty, as in "photos/2024/"',
}
const URL_OF_IMAGE: EntryRule<RemoteRef> = {
  parse: parseRemote,
  rule: 'the URL of a remote image, as in "https://img.example.com/cat.jpg"',
}
const HOST: EntryRule<string> = { parse: parseHost, rule: 'the name of a host, as in "img.example.com"' }
const LABEL: EntryRule<string> = {
  parse: (text) => (isLabel(text) ? text : undefined),
  rule: 'a label: 1 to 64 of the characters a-z 0-9 . _ -, the first one a letter or a digit',
}
const NAMES = ['ids', 'keys', 'prefixes', 'urls', 'hosts', 'labels'] as const

/**
 * The body of `POST /purge`: a JSON object with lists of strings. Buckets are named by their aliases, as in `/s3/` URLs, and keys
 * are not encoded.
 *
 * @throws RequestError `invalid_purge`
 */
export function parsePurgeRequest(body: string): PurgeRequest {
  const value = parseJson(body)
  if (!isGroup(value)) throw invalid(`The body should be a JSON object with lists of strings, as in ${EXAMPLE}`)
  const unknown = Object.keys(value).find((name) => !NAMES.some((known) => known === name))
  if (unknown !== undefined) {
    throw invalid(`"${unknown.slice(0, MOST_QUOTED)}" is not a list of a purge: the lists are ${NAMES.join(', ')}`)
  }
  const request = {
    ids: parseList(value, 'ids', ID),
    keys: parseList(value, 'keys', KEY),
    prefixes: parseList(value, 'prefixes', PREFIX),
    urls: parseList(value, 'urls', URL_OF_IMAGE),
    hosts: parseList(value, 'hosts', HOST),
    labels: parseList(value, 'labels', LABEL),
  }
  const count = NAMES.reduce((sum, name) => sum + request[name].length, 0)
  if (count === 0) throw invalid(`The body names nothing to purge: an example is ${EXAMPLE}`)
  if (count <= MAX_PURGED) return request
  throw invalid(
    `${count} entries were given, and the limit is ${MAX_PURGED}: send several requests, or use a prefix or a label`,
  )
}

function parseList<T>(group: Group, name: keyof PurgeRequest, { parse, rule }: EntryRule<T>): readonly T[] {
  const list = group[name] ?? []
  if (!Array.isArray(list)) throw invalid(`"${name}" should be a list of strings`)
  return list.map((entry: unknown, index) => {
    const parsed = typeof entry === 'string' ? parse(entry) : undefined
    if (parsed !== undefined) return parsed
    throw invalid(`${name}[${index}]: ${JSON.stringify(entry).slice(0, MOST_QUOTED)} should be ${rule}`)
  })
}

function parseObject(text: string): ObjectRef | undefined {
  const { bucket, key } = /^(?<bucket>[^/]+)\/(?<key>.+)$/s.exec(text)?.groups ?? {}
  return bucket === undefined || key === undefined ? undefined : { kind: 'object', bucket, key }
}

function parseRemote(text: string): RemoteRef | undefined {
  try {
    return { kind: 'remote', url: parseRemoteUrl(text) }
  } catch (error) {
    if (error instanceof RequestError) return undefined
    throw error
  }
}

function parseHost(text: string): string | undefined {
  const url = /^[^/?#@\\\s]+$/.test(text) ? URL.parse(`https://${text}`) : null
  return url?.host
}

type Group = Readonly<Record<string, unknown>>

function isGroup(value: unknown): value is Group {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(message: string): RequestError {
  return new RequestError('invalid_purge', message)
}
