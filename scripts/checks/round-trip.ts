import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import type { Config } from '../../src/config/env.ts'
import { formatSignature, signPath } from '../../src/domain/access/signature.ts'
import { contentTypeOf, type InputFormat } from '../../src/domain/spec/image-format.ts'
import { formatSpec } from '../../src/domain/spec/spec.ts'
import { parsePictureUrl, signedPath } from '../../src/domain/url/picture-url.ts'
import type { Check } from './check.ts'
import { failure, ok, type Result, reasonOf, skipped } from './finding.ts'

const TIMEOUT_MS = 15_000
const SIDE = 24
/** Formats of originals that sharp can write, the preferred one first. */
const WRITABLE = ['png', 'webp', 'jpeg', 'gif', 'avif'] as const satisfies readonly InputFormat[]

/** A picture can be uploaded through nginx, viewed and deleted: with ACCEL_PREFIX the first view is an X-Accel-Redirect. */
export const roundTripCheck: Check = {
  name: 'round trip',
  async run({ config, url }) {
    if (url === undefined) return [skipped('A picture is uploaded, viewed and deleted with --url.')]
    const [token] = config.UPLOAD_TOKENS
    const format = WRITABLE.find((each) => config.INPUT_FORMATS.includes(each))
    if (token === undefined || format === undefined)
      return [skipped('UPLOAD_TOKENS is empty, so no picture is uploaded.')]
    try {
      return [await roundTrip({ url, token, format, config })]
    } catch (error) {
      return [
        failure(
          `The server at ${url} does not answer: ${reasonOf(error)}.`,
          'Start the node and nginx ("systemctl start darkroom nginx"), or correct --url.',
        ),
      ]
    }
  },
}

interface Trip {
  readonly url: string
  readonly token: string
  readonly format: (typeof WRITABLE)[number]
  readonly config: Config
}

async function roundTrip({ url, token, format, config }: Trip): Promise<Result> {
  const authorization = { Authorization: `Bearer ${token}` }
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${url}${path}`, { ...init, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) })
  const headers = { ...authorization, 'Content-Type': contentTypeOf(format) }
  const uploaded = await ask('/images', { method: 'POST', headers, body: await probePicture(format, config) })
  const answer = await uploaded.text()
  const id = /"id":"(?<id>[0-9a-f]{40})"/.exec(answer)?.groups?.['id']
  if (!uploaded.ok || id === undefined) return failed('upload', uploaded.status, answer)
  try {
    const viewed = await ask(viewPath(id, config))
    const bytes = Buffer.from(await viewed.arrayBuffer())
    if (viewed.status !== 200 || viewed.headers.get('content-type') !== 'image/webp')
      return failed('view', viewed.status, bytes.toString('latin1'))
  } finally {
    await ask(`/images/${id}`, { method: 'DELETE', headers: authorization })
  }
  return ok(`A picture was uploaded, viewed and deleted through ${url}.`)
}

/** As `urls.src` of a record, in one format. */
function viewPath(id: string, { SIZE_POLICY, SIZES, URL_KEYS }: Config): string {
  const [size] = SIZES
  const [key] = URL_KEYS
  const path = `/image/${id}/${SIZE_POLICY === 'list' && size ? formatSpec(size) : `${SIDE / 2}w`}.webp`
  if (SIZE_POLICY !== 'signed' || key === undefined) return path
  return `${path}?${formatSignature(signPath(signedPath(parsePictureUrl(path)), key))}`
}

/** A picture in a colour that differs by node, so that two doctors do not delete each other's picture. */
async function probePicture(format: Trip['format'], { CACHE_DIR }: Config): Promise<Uint8Array<ArrayBuffer>> {
  const { default: sharp } = await import('sharp')
  const [r = 0, g = 0, b = 0] = createHash('sha256').update(`doctor ${hostname()} ${CACHE_DIR}`).digest()
  const picture = sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: { r, g, b } } })
  return new Uint8Array(await picture.toFormat(format).toBuffer())
}

function failed(step: 'upload' | 'view', status: number, body: string): Result {
  const reason = /"message":"(?<message>(?:[^"\\]|\\.)*)"/.exec(body)?.groups?.['message'] ?? 'without a message'
  return failure(
    `The ${step} of a picture was answered ${status}: ${reason}.`,
    'Follow the message; the logs of nginx and the node have more ("journalctl -u darkroom", /var/log/nginx/error.log).',
  )
}
