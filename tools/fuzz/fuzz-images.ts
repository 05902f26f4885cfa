import { setTimeout as delay } from 'node:timers/promises'
import { SNIFF_BYTES, sniffFormat } from '../../src/domain/picture/file-structure.ts'
import { contentTypeOf, INPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { createRandom } from '../pictures/seeded-random.ts'
import { type Answer, ask } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { AUTHORIZATION } from '../servers/site.ts'
import { byClients, type FuzzRun } from './fuzz-clients.ts'
import { createFuzzTally, type FuzzReport, problemOfError, problemOfRemoteError } from './fuzz-finding.ts'
import type { FuzzSeed } from './fuzz-seeds.ts'
import { mutate, pick, type Random } from './mutate.ts'

export interface ImageFuzz extends FuzzRun {
  /** Of the node's nginx. */
  readonly url: string
  /** Lays a file where `/image?url=` may fetch it. Absent: none is asked for so. */
  readonly publish?: (bytes: Buffer, contentType: string) => Published
}

export interface Published {
  readonly url: string
  remove(): void
}

const HUNG_MS = 60_000
const VIEWS = [
  '100w/x.jpg',
  '64s,smart/x.webp',
  'full/x.png',
  '50h/x.avif',
  '40w,still/x.gif',
  '30s,entropy,rot90,blur2/x.webp',
  '2000w,up/x.jpg',
  'full/x.gif',
  'full/x.webp',
  '80w60h,contain,bgff0000/x.png',
  '90w',
] as const
const VIEWS_OF_EACH = 3
/** One in so many is asked for as a remote image. */
const REMOTE_EVERY = 8
/** One in so many is sent as another type than it is. */
const LIE_EVERY = 5
const BUSY_TRIES = 3
const BUSY_MS = 1000

/** Uploads spoilt files, looks at those that are taken in several sizes, and writes down every answer that must not be. */
export async function fuzzImages(fuzz: ImageFuzz): Promise<FuzzReport> {
  const { url, seeds, count, seed, seconds, publish } = fuzz
  const random = createRandom(seed)
  const tally = createFuzzTally()

  async function look(
    { bytes, how }: Mutated,
    request: string,
    init: RequestInit,
    problemOf: (answer: Answer) => string | undefined,
  ): Promise<Answer | undefined> {
    try {
      const answer = await askPatiently(`${url}${request}`, init)
      const kind = request.startsWith('/image?') ? 'remote' : (init.method ?? 'GET')
      tally.answered(`${kind} ${answer.status}`, answer.ms, { request, bytes, how }, problemOf(answer))
      return answer
    } catch (error) {
      tally.failed({ request, bytes, how }, error)
      return undefined
    }
  }

  async function tryOne(mutated: Mutated): Promise<void> {
    const { bytes, contentType, views } = mutated
    const init = {
      method: 'POST',
      headers: { 'Content-Type': contentType, ...AUTHORIZATION },
      body: new Uint8Array(bytes),
    }
    const uploaded = await look(mutated, '/images', init, problemOfUpload)
    if (uploaded?.status === 201) {
      const { id } = jsonFields(uploaded.body)
      for (const view of views) await look(mutated, `/image/${String(id)}/${view}`, {}, problemOfView)
    }
    if (!mutated.remote || publish === undefined) return
    const page = publish(bytes, contentType)
    const request = `/image?url=${encodeURIComponent(page.url)}&size=70w&format=webp`
    await look(mutated, request, {}, problemOfRemoteView)
    page.remove()
  }

  const files = await byClients({ count, seconds }, (number) => tryOne(nextMutant(seeds, random, number)))
  return tally.report(files)
}

interface Mutated {
  readonly bytes: Buffer
  readonly how: string
  readonly contentType: string
  readonly views: readonly string[]
  readonly remote: boolean
}

function nextMutant(seeds: readonly FuzzSeed[], random: Random, number: number): Mutated {
  const of = pick(seeds, random)
  const { bytes, how } = mutate(
    of.bytes,
    seeds.map((seed) => seed.bytes),
    random,
  )
  const lie = contentTypeOf(pick(INPUT_FORMATS, random))
  return {
    bytes,
    how: `${of.name}: ${how.join(', ')}`,
    contentType: random() % LIE_EVERY === 0 ? lie : of.contentType,
    views: Array.from({ length: VIEWS_OF_EACH }, () => pick(VIEWS, random)),
    remote: number % REMOTE_EVERY === 0,
  }
}

/** A clean 503 asks to come again. */
async function askPatiently(url: string, init: RequestInit): Promise<Answer> {
  for (let tries = 0; ; tries += 1) {
    const answer = await ask(url, { ...init, signal: AbortSignal.timeout(HUNG_MS) })
    if (answer.status !== 503 || tries === BUSY_TRIES || problemOfError(answer) !== undefined) return answer
    await delay(BUSY_MS)
  }
}

function problemOfUpload(answer: Answer): string | undefined {
  return answer.status === 201 || answer.status === 200 ? undefined : problemOfError(answer)
}

function problemOfView(answer: Answer): string | undefined {
  return answer.status === 200 ? problemOfPicture(answer) : problemOfError(answer)
}

function problemOfRemoteView(answer: Answer): string | undefined {
  return answer.status === 200 ? problemOfPicture(answer) : problemOfRemoteError(answer)
}

/** @returns what is wrong with a picture: it is what it says, and a browser may not think otherwise. */
export function problemOfPicture({ headers, body }: Answer): string | undefined {
  if (headers.get('x-content-type-options') !== 'nosniff') return 'no nosniff'
  const format = sniffFormat(body.subarray(0, SNIFF_BYTES))
  const type = headers.get('content-type')
  return format !== undefined && contentTypeOf(format) === type ? undefined : `${type} that is ${format}`
}
