import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createRandom } from '../pictures/seeded-random.ts'
import { form } from '../requests/form.ts'
import { parseAnswers, type RawAnswer } from '../requests/raw-exchange.ts'
import { TOKEN } from '../servers/site.ts'
import { byClients, type FuzzRun } from './fuzz-clients.ts'
import { createFuzzTally, type FuzzReport, problemOfError } from './fuzz-finding.ts'
import type { FuzzSeed } from './fuzz-seeds.ts'
import { mutate, pick, type Random } from './mutate.ts'

export interface FormFuzz extends FuzzRun {
  readonly port: number
  /** What stands on it, for messages. */
  readonly server: 'node' | 'nginx'
}

/** An answer that comes before all has been sent does so by then. */
const EARLY_MS = 300
/** The node hangs up on a body that has stopped within five seconds of its refusal. */
const STAY_MS = 7000
const HUNG_MS = 15_000

const PATHS = ['/images', '/images', '/'] as const
const TYPES = [
  'multipart/form-data; boundary=a-boundary',
  'multipart/form-data; boundary=a-boundary',
  'multipart/form-data; boundary=a-boundary',
  'multipart/form-data; charset=utf-8; boundary="a-boundary"',
  'multipart/form-data; charset=utf-8',
  'multipart/form-data;',
  'multipart/form-data; boundary=',
  'multipart/form-data; boundary=another',
  `multipart/form-data; boundary=${'b'.repeat(3000)}`,
  'multipart/form-data; boundary=a-boundary; boundary=another',
  'Multipart/Form-Data ;BOUNDARY=a-boundary',
  'multipart/mixed; boundary=a-boundary',
  'image/png',
] as const
const HEADS = [
  'name="file"; filename="a.png"\r\nContent-Type: image/png',
  'name="image"; filename="a.png"',
  'name="image"; filename="../../a\0.png"',
  'name="file"; filename*=utf-8\'\'%ff%00%2e%2e%2f',
  'filename="nameless.png"',
  'name="file"; filename="a.png"\r\nContent-Transfer-Encoding: base64',
  `name="${'n'.repeat(5000)}"; filename="a.png"`,
] as const
const FIELDS = [
  ['name="key"', TOKEN],
  ['name="key"', 'wrong'],
  ['name="size_hints"', '100w, full, -1w, 99999999w'],
  ['name="title"', 'x'.repeat(70_000)],
  ['name="__proto__"', 'polluted'],
  ['name="constructor"', 'polluted'],
] as const
/** What becomes of a client. */
const MANNERS = ['whole', 'whole', 'whole', 'ends', 'leaves', 'stays'] as const

interface FormRequest {
  readonly head: string
  readonly body: Buffer
  readonly manner: (typeof MANNERS)[number]
  readonly how: string
}

/**
 * Sends spoilt forms, of which some end early: the client then says so, hangs up, or stays until it is hung up on. Writes
 * down every answer that must not be.
 */
export async function fuzzForms({ port, server, seeds, count, seed, seconds }: FormFuzz): Promise<FuzzReport> {
  const random = createRandom(seed)
  const tally = createFuzzTally()
  const staying: Promise<void>[] = []

  async function tryOne({ head, body, manner, how }: FormRequest): Promise<void> {
    const of = { request: `${server} ${head}`, bytes: body, how: `${manner}: ${how}` }
    const began = performance.now()
    const socket = open(port)
    const said = answerOf(socket)
    socket.write(head)
    socket.write(body)
    try {
      if (manner !== 'whole') await Promise.race([said, delay(EARLY_MS)])
      if (manner === 'ends') socket.end()
      if (manner === 'leaves') socket.destroy()
      if (manner === 'stays') staying.push(delay(STAY_MS).then(() => void socket.destroy()))
      else {
        const answer = await said
        if (answer === undefined && manner === 'whole') throw new Error('the connection was closed without one')
        const ms = performance.now() - began
        if (answer) tally.answered(`${manner} ${answer.status}`, ms, of, problemOf(answer, ms))
      }
    } catch (error) {
      tally.failed(of, error)
    } finally {
      if (manner !== 'stays') socket.destroy()
    }
  }

  const forms = await byClients({ count, seconds }, () => tryOne(nextForm(port, seeds, random)))
  await Promise.all(staying)
  return tally.report(forms)
}

function nextForm(port: number, seeds: readonly FuzzSeed[], random: Random): FormRequest {
  const { bytes } = pick(seeds, random)
  const fields = Array.from({ length: random() % 3 }, () => pick(FIELDS, random))
  const files = Array.from({ length: 1 + Number(random() % 6 === 0) }, () => [pick(HEADS, random), bytes] as const)
  const parts = random() % 2 === 0 ? [...fields, ...files] : [...files, ...fields]
  const sound = form(parts).body
  const { bytes: spoilt, how } = random() % 2 === 0 ? mutate(sound, [bytes], random) : { bytes: sound, how: ['sound'] }
  const manner = pick(MANNERS, random)
  const path = pick(PATHS, random)
  const type = pick(TYPES, random)
  const sent = manner === 'whole' ? spoilt : spoilt.subarray(0, random() % (spoilt.length + 1))
  // What stops in the middle has promised more.
  const length = manner === 'whole' ? spoilt.length : spoilt.length + 1 + (random() % 1_000_000)
  const authorization = random() % 8 === 0 ? '' : `Authorization: Bearer ${TOKEN}\r\n`
  const headers = `Host: 127.0.0.1:${port}\r\nConnection: close\r\n${authorization}Content-Type: ${type}\r\n`
  return {
    head: `POST ${path} HTTP/1.1\r\n${headers}Content-Length: ${length}\r\n\r\n`,
    body: sent,
    manner,
    how: how.join(', '),
  }
}

function open(port: number): Socket {
  const socket = connect(port, '127.0.0.1')
  // Hung up on while it sends: what was answered before that is what counts.
  socket.on('error', () => {})
  socket.setTimeout(HUNG_MS, () => socket.destroy())
  return socket
}

/** @returns undefined if the connection ended without one. */
async function answerOf(socket: Socket): Promise<RawAnswer | undefined> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'close')
  const [answer] = parseAnswers(Buffer.concat(chunks).toString('latin1'))
  return answer
}

function problemOf({ status, headers, body }: RawAnswer, ms: number): string | undefined {
  if (status === 200 || status === 201) return undefined
  return problemOfError({ status, headers: new Headers(headers), body: Buffer.from(body, 'latin1'), ms })
}
