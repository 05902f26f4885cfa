import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { cpuSeconds, cpuSecondsAtRest, residentBytes } from '../tools/processes/process-use.ts'
import { inScope, type Scope } from '../tools/processes/scope.ts'
import { uploadFixture } from '../tools/servers/darkroom.ts'
import { startMtail } from '../tools/servers/mtail.ts'
import { startNodeNginx } from '../tools/servers/nginx.ts'
import { startNodeFor, stopAfter } from '../tools/servers/site.ts'
import { type BenchOptions, type BenchReport, measureInTurn, median } from './measure.ts'
import { type Load, loadWithWrk } from '../tools/requests/wrk.ts'

const ACCESS_LOG = 'access_log /var/log/nginx/darkroom.log darkroom buffer=64k flush=1s;'
const WAYS = ['without', 'log', 'mtail'] as const
type Way = (typeof WAYS)[number]

interface Target {
  readonly url: string
  readonly nginx: number
  readonly mtail?: number
}

interface Measured extends Load {
  readonly nginxMicroseconds: number
  readonly mtailMicroseconds: number
}

/** What the access log and mtail cost per direct hit of nginx: one nginx without a log, one with it, and one whose log mtail reads. */
export async function benchNginxLog({ smoke }: BenchOptions): Promise<BenchReport> {
  return await inScope(async (scope) => {
    const targets = await setStage(scope)
    const seconds = smoke ? 1 : 3
    if (!smoke) for (const way of WAYS) await loadWithWrk(targets[way].url, 1)
    const runs = await measureInTurn(WAYS, smoke ? 1 : 7, (way) => measure(targets[way], seconds))
    const { mtail = 0 } = targets.mtail
    return report(runs, (await residentBytes(mtail)).peak)
  })
}

async function setStage(scope: Scope): Promise<Record<Way, Target>> {
  const node = await startNodeFor(scope, { env: { ACCEL_PREFIX: '/_renditions/' } })
  const path = `/image/${await uploadFixture(node.url, 'mountains.jpg')}/400w/x.jpg`
  const start = async (site: Readonly<Record<string, string>> = {}) => {
    const nginx = await startNodeNginx({ nodePort: node.port, cacheDir: node.cacheDir, site })
    stopAfter(scope, nginx.stop)
    return nginx
  }
  const [without, log, read] = [await start({ [ACCESS_LOG]: 'access_log off;' }), await start(), await start()]
  const mtail = await startMtail(scope, join(read.folder, 'access.log'))
  for (const { origin } of [without, without, log, read]) {
    const response = await fetch(origin + path)
    assert.equal(response.status, 200)
    await response.arrayBuffer()
  }
  const hit = await fetch(read.origin + path)
  await hit.arrayBuffer()
  assert.match(hit.headers.get('server-timing') ?? '', /nginx/, 'a direct hit')
  await mtail.untilCounted(2)
  await assert.rejects(stat(join(without.folder, 'access.log')), { code: 'ENOENT' })
  return {
    without: { url: without.origin + path, nginx: without.pid },
    log: { url: log.origin + path, nginx: log.pid },
    mtail: { url: read.origin + path, nginx: read.pid, mtail: mtail.pid },
  }
}

async function measure({ url, nginx, mtail }: Target, seconds: number): Promise<Measured> {
  const before = { nginx: await cpuSeconds(nginx), mtail: await atRest(mtail) }
  const load = await loadWithWrk(url, seconds)
  const microseconds = (used: number) => (used / (load.requestsPerSecond * seconds)) * 1e6
  return {
    ...load,
    nginxMicroseconds: microseconds((await cpuSeconds(nginx)) - before.nginx),
    mtailMicroseconds: microseconds((await atRest(mtail)) - before.mtail),
  }
}

/** mtail reads the last lines after the load. */
async function atRest(mtail: number | undefined): Promise<number> {
  return mtail === undefined ? 0 : await cpuSecondsAtRest(mtail)
}

function report(runs: ReadonlyMap<Way, readonly Measured[]>, peakBytes: number): BenchReport {
  const of = (way: Way, pick: (run: Measured) => number) => median((runs.get(way) ?? []).map(pick))
  const rate = (way: Way) => of(way, (run) => run.requestsPerSecond)
  const nginx = (way: Way) => of(way, (run) => run.nginxMicroseconds)
  const figures = [
    { name: 'hits with the access log, of hits without', value: rate('log') / rate('without') },
    { name: 'hits with mtail, of hits with the log alone', value: rate('mtail') / rate('log') },
    ...WAYS.flatMap((way) => [
      { name: `hits, ${way}`, value: rate(way), unit: 'requests/s' },
      { name: '  CPU of nginx for one', value: nginx(way), unit: 'µs' },
    ]),
    { name: '  CPU of mtail for one', value: of('mtail', (run) => run.mtailMicroseconds), unit: 'µs' },
    { name: 'most memory of mtail', value: peakBytes / 2 ** 20, unit: 'MiB' },
  ]
  return { figures, raw: Object.fromEntries(runs) }
}
