import sharp from 'sharp'
import { BOMBS } from '../pictures/bombs.ts'
import { createMemoryCgroup } from '../processes/memory-cgroup.ts'
import type { Scope } from '../processes/scope.ts'
import { type Answer, ask } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { fixture } from '../servers/darkroom.ts'
import { AUTHORIZATION, startNodeFor, TOKEN } from '../servers/site.ts'
import { createFuzzTally, type FuzzReport, problemOfError } from './fuzz-finding.ts'
import { ALL_FORMATS } from './fuzz-site.ts'

const LIMIT_BYTES = 512 * 2 ** 20
const AT_ONCE = 64
const HUNG_MS = 120_000
const SIZE = { width: 6000, height: 4000 } as const
const VIEWS = ['100w/x.jpg', 'full/x.webp', 'full/x.avif'] as const

export interface SmallMemoryReport {
  readonly renders: FuzzReport
  readonly bombs: FuzzReport
  readonly oomKills: number
  readonly peakBytes: number
  readonly crashes: number
}

/** A node in 512 MB: 64 renders of 24 MP at once, then every bomb, sent and looked at, with such renders beside it. */
export async function tryInSmallMemory(scope: Scope): Promise<SmallMemoryReport> {
  const group = await createMemoryCgroup(LIMIT_BYTES)
  // As behind nginx; and each view is made of the original.
  const env = {
    ACCEL_PREFIX: '/_renditions/',
    UPLOAD_TOKENS: TOKEN,
    MEZZANINE_MIN_PIXELS: '0',
    INPUT_FORMATS: ALL_FORMATS,
  }
  const node = await startNodeFor(scope, { env, through: group.through })
  scope.after(() => group.remove())

  const renders = createFuzzTally()
  const bombs = createFuzzTally()
  const ids: string[] = []
  for (const bytes of await largePhotographs()) {
    const answer = await post(node.url, bytes, 'image/jpeg')
    renders.answered(`POST ${answer.status}`, 0, { request: 'a photograph of 24 MP' }, problemOf(answer))
    const { id } = jsonFields(answer.body)
    if (typeof id === 'string') ids.push(id)
  }
  const view = async (tally: typeof renders, request: string) => {
    const answer = await ask(`${node.url}${request}`, { signal: AbortSignal.timeout(HUNG_MS) })
    tally.answered(`GET ${answer.status}`, answer.ms, { request }, problemOf(answer))
  }
  await Promise.all(
    Array.from({ length: AT_ONCE }, (_, at) => view(renders, `/image/${ids[at % ids.length]}/${400 + at}w/x.jpg`)),
  )
  for (const [at, { name, contentType, make }] of BOMBS.entries()) {
    const [answer] = await Promise.all([
      post(node.url, await make(), contentType),
      view(renders, `/image/${ids[at % ids.length]}/${300 - at}w/x.webp`),
    ])
    bombs.answered(`POST ${answer.status}`, answer.ms, { request: name }, problemOf(answer))
    const { id } = jsonFields(answer.body)
    if (typeof id === 'string') for (const spec of VIEWS) await view(bombs, `/image/${id}/${spec}`)
  }
  return {
    renders: renders.report(AT_ONCE + BOMBS.length),
    bombs: bombs.report(BOMBS.length),
    oomKills: await group.oomKills(),
    peakBytes: await group.peakBytes(),
    crashes: await node.metric('darkroom_renderer_crashes_total'),
  }
}

/** One of each way that photographs come. */
async function largePhotographs(): Promise<readonly Buffer[]> {
  const large = sharp(await fixture('mountains.jpg')).resize({ ...SIZE, fit: 'fill' })
  const ways = [
    large.clone().jpeg(),
    large.clone().jpeg({ progressive: true }),
    large.clone().png({ compressionLevel: 1 }),
    large.clone().webp({ effort: 0 }),
  ]
  const files: Buffer[] = []
  for (const way of ways) files.push(await way.toBuffer())
  return files
}

function post(url: string, bytes: Buffer, type: string): Promise<Answer> {
  const headers = { 'Content-Type': type, ...AUTHORIZATION }
  const signal = AbortSignal.timeout(HUNG_MS)
  return ask(`${url}/images`, { method: 'POST', headers, body: new Uint8Array(bytes), signal })
}

function problemOf(answer: Answer): string | undefined {
  return answer.status < 300 ? undefined : problemOfError(answer)
}
