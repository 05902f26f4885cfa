import assert from 'node:assert/strict'
import sharp from 'sharp'
import { parseAnswers, type RawAnswer, rawExchange } from '../../tools/requests/raw-exchange.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { type Darkroom, upload } from '../../tools/servers/darkroom.ts'
import { TOKEN } from '../../tools/servers/site.ts'
import type { Spelling } from './path-spellings.ts'

/** Every server closes the connection after its answer. */
const ANSWERED_WITHIN_MS = 30_000
const DIRECT_HIT = 'cache;desc="nginx"'

let made = 0
/** A PNG that no other test case has. */
function newPicture(): Promise<Buffer> {
  made += 1
  const background = { r: made % 256, g: Math.floor(made / 256), b: 77 }
  return sharp({ create: { width: 64, height: 48, channels: 3, background } })
    .png()
    .toBuffer()
}

/** The id of a new upload. */
export async function newId({ url }: Darkroom): Promise<string> {
  const { id } = jsonFields(await (await upload(url, await newPicture(), 'image/png', TOKEN)).text())
  assert.ok(typeof id === 'string')
  return id
}

/** Sends the target as it stands, byte for byte. */
export async function ask(
  origin: string,
  { target, method = 'GET', upload: isUpload = false }: Spelling,
): Promise<RawAnswer> {
  const body = isUpload ? (await newPicture()).toString('latin1') : ''
  const lines = isUpload ? [`Authorization: Bearer ${TOKEN}`, 'Content-Type: image/png'] : []
  const head = [`${method} ${target} HTTP/1.1`, 'Host: pictures.example', 'Connection: close', ...lines]
  const text = `${head.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const [answer, ...more] = parseAnswers(await rawExchange(origin, text, ANSWERED_WITHIN_MS))
  assert.ok(answer && more.length === 0, `${target} is answered once`)
  return answer
}

/** Whether nginx sent the picture without asking the node. */
export function isDirectHit({ headers }: RawAnswer): boolean {
  return headers['server-timing'] === DIRECT_HIT
}

/** What must be the same at every server. @param id Of the picture, which the result leaves out. */
export function essence({ status, headers, body }: RawAnswer, id = '') {
  const type = headers['content-type']?.replace(/;.*/, '')
  if (status === 301) return { status, answer: headers['location']?.replaceAll(id || '{id}', '{id}') }
  if (status < 400 || type !== 'application/json') return { status, answer: type }
  const { error, message, ...more } = jsonFields(body)
  assert.deepEqual(more, {})
  return { status, answer: error, message }
}
