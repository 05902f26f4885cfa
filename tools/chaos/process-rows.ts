import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import sharp from 'sharp'
import { assertPicture, idOf, noisePicture } from '../pictures/picture.ts'
import { createMemoryCgroup } from '../processes/memory-cgroup.ts'
import { runCommand } from '../processes/process.ts'
import { rendererPids } from '../processes/renderers.ts'
import { type Answer, assertUnavailable, recoversIn } from '../requests/ask.ts'
import { fixture } from '../servers/darkroom.ts'
import { temporaryFolder } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { setStage } from './stage.ts'
import { terminate } from './under-load.ts'

const MIB = 1024 * 1024

async function terminated(scope: RowScope): Promise<void> {
  const folder = await temporaryFolder(scope)
  const env = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache') }
  const { answers, afterSignal, endedMs } = await terminate(scope, env)
  scope.says(`${answers} requests accepted, ${afterSignal} of them after the signal, all 200; exit after ${endedMs} ms`)
}

/** Large ones and hostile ones: what they are, their bytes, and the status that an upload of them gets. */
async function greedyImages(): Promise<readonly (readonly [name: string, bytes: Buffer, status: number])[]> {
  const photograph = sharp(await fixture('mountains.jpg'))
  const grown = (width: number, height: number) => photograph.clone().resize({ width, height, fit: 'fill' })
  const solid = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: '#456' }, limitInputPixels: false })
  return [
    ['a JPEG of 24 MP', await grown(6000, 4000).jpeg().toBuffer(), 201],
    ['a progressive JPEG of 48 MP', await grown(8000, 6000).jpeg({ progressive: true }).toBuffer(), 201],
    ['a PNG of 99 MP', await solid(11_000, 9000).png().toBuffer(), 201],
    [
      'an interlaced PNG of 16 MP',
      await grown(4000, 4000).png({ progressive: true, compressionLevel: 1 }).toBuffer(),
      201,
    ],
    ['a WebP of 50 MP', await solid(7000, 7100).webp({ effort: 0 }).toBuffer(), 201],
    ['a PNG of 400 MP', await solid(20_000, 20_000).png().toBuffer(), 413],
  ]
}

async function outOfMemory(scope: RowScope): Promise<void> {
  const memory = await createMemoryCgroup(512 * MIB)
  const { node, url, post } = await setStage(scope, {
    through: memory.through,
    env: {
      RENDER_CONCURRENCY: '1',
      MEMORY_CACHE_BYTES: '32M',
      RENDER_TIMEOUT_SECONDS: '60',
      REQUEST_TIMEOUT_SECONDS: '90',
    },
  })
  // When the node has left it.
  scope.after(memory.remove)
  const shown: Record<string, number> = {}
  for (const [name, bytes, status] of await greedyImages()) {
    const taken = await post(bytes)
    assert.equal(taken.status, status, `${name}: ${taken.body.toString()}`)
    if (status !== 201) continue
    const paths = ['400w/x.jpg', '2000w/x.webp', '300s,smart', '800w,blur5/x.png'].map(
      (rest) => `${url}/image/${idOf(bytes)}/${rest}`,
    )
    for (const answer of await Promise.all(paths.map((path) => scope.tally.ask(path)))) {
      shown[answer.status] = (shown[answer.status] ?? 0) + 1
    }
  }
  const [kills, peak] = [await memory.oomKills(), Math.round((await memory.peakBytes()) / MIB)]
  const crashes = await node.metric('darkroom_renderer_crashes_total')
  scope.says(
    `in 512 MiB, one renderer: five images, 20 sizes: ${JSON.stringify(shown)}; one of 400 MP 413; ${kills} processes ended for want of memory, ${crashes} renderers crashed, peak ${peak} MiB`,
  )
  assert.equal(kills, 0)
  assert.equal((await scope.tally.ask(`${url}/healthz`)).status, 200)
}

/** Ends every renderer as soon as there is one at work, as a decoder's bug would. */
async function crash(nodePid: number): Promise<void> {
  for (const pid of await rendererPids(nodePid)) process.kill(pid, 'SIGSEGV')
}

async function decoderCrashes(scope: RowScope): Promise<void> {
  const { node, url, post } = await setStage(scope)
  const photograph = sharp(await fixture('mountains.jpg'))
  const large = await photograph.resize({ width: 6000, height: 4000, fit: 'fill' }).jpeg().toBuffer()
  assert.equal((await post(large)).status, 201)
  const fatal = scope.tally.ask(`${url}/image/${idOf(large)}/full,q60/x.avif`)
  const state = { answered: false }
  const answered = fatal.finally(() => {
    state.answered = true
  })
  answered.catch(() => {})
  let crashes = 0
  // Whatever is tried again is at work within half a second.
  while (!state.answered && crashes < 20) {
    await Promise.race([answered.catch(() => {}), delay(500)])
    if (state.answered) break
    await crash(node.pid)
    crashes += 1
  }
  const refused = await answered
  const { bytes, id } = await noisePicture(30, 300, 200)
  const isShown = ({ status }: Answer): boolean => status === 200
  assert.ok((await post(bytes)).status < 300)
  const ms = await recoversIn(() => scope.tally.ask(`${url}/image/${id}/100w/x.jpg`), isShown)
  scope.recovered(ms)
  const again = await scope.tally.ask(`${url}/image/${idOf(large)}/full,q60/x.avif`)
  scope.says(
    `${crashes} times all renderers crashed under one image: ${refused.status}, asked again ${again.status} after ${Math.round(again.ms)} ms; ` +
      `another image 200 after ${Math.round(ms)} ms; the node is the same process`,
  )
  assert.equal(refused.status, 422, refused.body.toString())
  assert.equal(again.status, 422)
  assert.ok(ms < 2000)
  assert.equal((await node.log()).filter(({ msg }) => msg === 'listening').length, 1)
}

async function noFiles(scope: RowScope): Promise<void> {
  const { node, url, post, known } = await setStage(scope)
  const open = (await readdir(`/proc/${node.pid}/fd`)).length
  await runCommand('prlimit', ['--pid', String(node.pid), `--nofile=${open + 4}:`])
  let refused = 0
  const seen = Array.from({ length: 200 }, (_, at) => scope.tally.ask(`${url}/image/${known.id}/${50 + at}w,up/x.jpg`))
  for (const answer of await Promise.all(seen)) {
    if (answer.status === 200) continue
    refused += 1
    assertUnavailable(answer, /^[a-z_]+$/)
  }
  const { bytes } = await noisePicture(31, 300, 200)
  const upload = await post(bytes)
  await runCommand('prlimit', ['--pid', String(node.pid), '--nofile=4096:'])
  const isRight = ({ status }: Answer): boolean => status === 200 || status === 201
  const times = [
    await recoversIn(() => scope.tally.ask(`${url}/image/${known.id}/300w,up/x.jpg`), isRight),
    await recoversIn(() => post(bytes), isRight),
  ]
  scope.recovered(Math.max(...times))
  await assertPicture((await scope.tally.ask(`${url}/image/${known.id}/301w,up/x.jpg`)).body, {
    format: 'jpeg',
    width: 301,
  })
  scope.says(
    `4 more files than the ${open} that are open: of 200 viewers at once ${refused} got 503, an upload ${upload.status}; same process`,
  )
  assert.equal((await node.log()).filter(({ msg }) => msg === 'listening').length, 1)
}

export const PROCESS_ROWS: readonly FaultRow[] = [
  {
    row: 25,
    fault: 'SIGTERM under load',
    what: 'SIGTERM for a node with eight clients that request slow and fast renders',
    run: terminated,
  },
  {
    row: 26,
    fault: 'out of memory',
    what: 'A node in a cgroup of 512 MiB gets images of 16 to 400 megapixels and renders four sizes of each at once',
    run: outOfMemory,
  },
  {
    row: 27,
    fault: 'a native crash in the decoder',
    what: 'SIGSEGV for the renderers whenever they render one image',
    run: decoderCrashes,
  },
  {
    row: 28,
    fault: 'fd exhaustion',
    what: 'prlimit allows a running node four more open files, and 200 clients connect at once',
    run: noFiles,
  },
]
