import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { decoded, noisePicture } from '../pictures/picture.ts'
import { createRandom } from '../pictures/seeded-random.ts'
import { inScope, type Scope } from '../processes/scope.ts'
import { ask, filesBelow, post } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { fixture } from '../servers/darkroom.ts'
import { startSite } from '../servers/site.ts'
import { MANY_ROUNDS, readControl, writeControlUntil } from './control-files.ts'
import { type CutDisk, mountCutDisk } from './cut-disk.ts'

export interface PowerCutOptions {
  readonly rounds: number
  /** Decides when the power is cut and what is asked for. Any whole number but 0. */
  readonly seed: number
  /** For the disks and the store. */
  readonly folder: string
  readonly onRound?: (round: number) => void
}

/** What happened, so that a reader sees that there was something to lose. */
export interface PowerCutReport {
  /** Renditions that were sent before the cuts. */
  shown: number
  /** Files of renditions that were found after the cuts, all of them whole. */
  files: number
  /** Those of them that nginx or the node sent after the cuts. */
  served: number
  /** Files that another program renamed into place without a sync, and how many of them the cuts damaged. */
  control: number
  controlDamaged: number
}

const VIEWERS = 4
const SHORTEST_MS = 300
const LONGEST_MS = 4000
/** New sizes of the originals, which a node makes after a cut. */
const NEW_SIZES = 12
/** Small enough that the cache is swept now and then, and that some originals have mezzanines. */
const ENV = { CACHE_MAX_BYTES: '64M', MEZZANINE_MIN_PIXELS: '500000', LOG_LEVEL: 'warn' } as const

/** What the viewers have been sent, by `<id>/<file>`: a hash. */
type Shown = Map<string, string>

/**
 * Cuts the power of a disk under a node that serves, again and again, and looks at each state of the disk: with the eyes of nginx,
 * and with another node and its nginx.
 *
 * @throws AssertionError for a picture that is cut, empty or wrong.
 */
export async function survivePowerCuts({ rounds, seed, folder, onRound }: PowerCutOptions): Promise<PowerCutReport> {
  return await inScope(async (scope) => {
    const random = createRandom(seed)
    const report: PowerCutReport = { shown: 0, files: 0, served: 0, control: 0, controlDamaged: 0 }
    const disk = await mountCutDisk(scope, folder)
    const env = { ...ENV, STORE: `file:${join(folder, 'store')}` }
    const { url } = await startSite(scope, { ...env, CACHE_DIR: join(disk.path, 'cache') })
    const ids = await uploadOriginals(url)
    const [shown, checked] = [new Map<string, string>(), new Set<string>()]
    const life = { over: false }
    const load = [
      ...Array.from({ length: VIEWERS }, () => viewUntil(life, { url, ids, random, shown })),
      writeControlUntil(life, disk.path),
    ]
    // What fails before the end is reported at once.
    const failed = Promise.all(load)
    failed.catch(() => {})
    try {
      for (let round = 1; round <= rounds; round += 1) {
        await Promise.race([failed, delay(SHORTEST_MS + (random() % (LONGEST_MS - SHORTEST_MS)))])
        await inScope((until) => assertSurvived(until, { disk, round, env, ids, random, shown, checked, report }))
        onRound?.(round)
      }
    } finally {
      life.over = true
    }
    await failed
    assert.ok(report.controlDamaged > 0 || rounds < MANY_ROUNDS, 'The cuts damaged nothing, so they prove nothing')
    return { ...report, shown: shown.size }
  })
}

async function uploadOriginals(url: string): Promise<string[]> {
  const photograph = await fixture('mountains.jpg')
  const noise = [await noisePicture(1, 320, 240), await noisePicture(2, 200, 300)].map(({ bytes }) => bytes)
  const ids: string[] = []
  for (const bytes of [photograph, Buffer.concat([photograph, Buffer.from('another')]), ...noise]) {
    const { status, body } = await post(url, bytes)
    assert.equal(status, 201, body.toString())
    ids.push(String(jsonFields(body.toString())['id']))
  }
  return ids
}

interface Viewing {
  readonly url: string
  readonly ids: readonly string[]
  readonly random: () => number
  readonly shown: Shown
}

interface Life {
  readonly over: boolean
}

async function viewUntil(life: Life, viewing: Viewing): Promise<void> {
  // Bursts, which are published in groups, and pauses, after which renditions are published one by one.
  for (let turn = 0; !life.over; turn += 1) {
    await viewOne(viewing)
    if (turn % 40 > 30) await delay(viewing.random() % 200)
  }
}

async function viewOne({ url, ids, random, shown }: Viewing): Promise<void> {
  const id = ids[random() % ids.length] ?? ''
  const format = random() % 2 === 0 ? 'jpg' : 'webp'
  const file = `${20 + (random() % 300)}w,q${40 + (random() % 50)}.${format}`
  const { status, body } = await ask(`${url}/image/${id}/${file}`)
  assert.equal(status, 200, body.toString())
  shown.set(`${id}/${file}`, hashOf(body))
}

interface Cut extends Omit<Viewing, 'url'> {
  readonly disk: CutDisk
  readonly round: number
  readonly env: Readonly<Record<string, string>>
  /** Files that were found whole after an earlier cut. */
  readonly checked: Set<string>
  readonly report: PowerCutReport
}

async function assertSurvived(until: Scope, cut: Cut): Promise<void> {
  const { disk, round, env, ids, random, shown, checked, report } = cut
  const place = await disk.cut(until, `cut-${round}`)
  const tree = join(place, 'cache/renditions/image')
  const found = await filesBelow(tree)
  // As nginx sends them, which may be up before the node.
  for (const path of found) await assertWhole(path, await readFile(join(tree, path)), shown)
  const news = found.filter((path) => !checked.has(path))
  report.files += news.length
  for (const path of news) checked.add(path)
  const control = await readControl(place)
  report.control += control.files
  report.controlDamaged += control.damaged
  const { url } = await startSite(until, { ...env, CACHE_DIR: join(place, 'cache') })
  for (const path of news.filter((name) => !name.includes('.auto-'))) {
    const { status, body } = await ask(`${url}/image/${nameOf(path)}`)
    assert.equal(status, 200, body.toString())
    await assertWhole(path, body, shown)
    report.served += 1
  }
  for (let count = 0; count < NEW_SIZES; count += 1) await viewOne({ url, ids, random, shown: new Map() })
}

async function assertWhole(path: string, bytes: Buffer, shown: Shown): Promise<void> {
  assert.ok(bytes.length > 0, `${path} is empty`)
  const hash = shown.get(nameOf(path))
  if (hash === undefined) await decoded(bytes)
  else assert.equal(hashOf(bytes), hash, `${path} is not what was sent before`)
}

/** `<id>/<file>` */
function nameOf(path: string): string {
  return `${basename(dirname(path))}/${basename(path)}`
}

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
