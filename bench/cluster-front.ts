import assert from 'node:assert/strict'
import { idOf } from '../tools/pictures/picture.ts'
import { cpuSeconds } from '../tools/processes/process-use.ts'
import { inScope } from '../tools/processes/scope.ts'
import { loadWithWrk } from '../tools/requests/wrk.ts'
import { fixture, upload } from '../tools/servers/darkroom.ts'
import { startHaproxy } from '../tools/servers/haproxy.ts'
import { startSite } from '../tools/servers/site.ts'
import { type BenchReport, measureInTurn, median } from './measure.ts'

const WAYS = ['direct', 'front'] as const
type Way = (typeof WAYS)[number]

interface Measured {
  readonly rate: number
  readonly p50Ms: number
  /** Of nginx, and of HAProxy, for a request, microseconds. */
  readonly nginx: number
  readonly haproxy: number
}

/** Hits at a node's nginx, and the same through a HAProxy front on the same machine. */
export async function benchFront(smoke: boolean): Promise<BenchReport> {
  return await inScope(async (scope) => {
    const site = await startSite(scope)
    const photograph = await fixture('mountains.jpg')
    assert.equal((await upload(site.url, photograph)).status, 201)
    const front = await startHaproxy({ nodes: [{ name: 'node1', address: `127.0.0.1:${site.nginx.port}` }] })
    scope.after(front.stop)
    await front.becomes('ready', 'node1', 'UP')
    const path = `/image/${idOf(photograph)}/400w/x.jpg`
    const urls: Readonly<Record<Way, string>> = { direct: site.url + path, front: front.origin + path }
    const isDirectHit = async (url: string): Promise<boolean> =>
      ((await fetch(url)).headers.get('server-timing') ?? '').includes('nginx')
    // The first view makes the rendition.
    for (let views = 0; !(await isDirectHit(urls.front)); views += 1) assert.ok(views < 500, 'nginx has the rendition')
    const seconds = smoke ? 1 : 4
    const used = async (): Promise<readonly [number, number]> => [
      await cpuSeconds(site.nginx.pid),
      await cpuSeconds(front.pid),
    ]
    const runs = await measureInTurn(WAYS, smoke ? 1 : 7, async (way): Promise<Measured> => {
      const before = await used()
      const { requestsPerSecond: rate, p50Ms } = await loadWithWrk(urls[way], seconds)
      const after = await used()
      const microseconds = (at: 0 | 1): number => ((after[at] - before[at]) / (rate * seconds)) * 1e6
      return { rate, p50Ms, nginx: microseconds(0), haproxy: microseconds(1) }
    })
    const of = (way: Way, value: (measured: Measured) => number): number => median((runs.get(way) ?? []).map(value))
    return {
      figures: [
        {
          name: 'hits through HAProxy, of hits at nginx',
          value: of('front', ({ rate }) => rate) / of('direct', ({ rate }) => rate),
        },
        { name: '  CPU of HAProxy for a hit', value: of('front', ({ haproxy }) => haproxy), unit: 'us' },
        { name: '  CPU of nginx behind it', value: of('front', ({ nginx }) => nginx), unit: 'us' },
        { name: '  CPU of nginx alone', value: of('direct', ({ nginx }) => nginx), unit: 'us' },
        { name: '  hits through HAProxy', value: of('front', ({ rate }) => rate), unit: 'requests/s' },
        { name: '  hits at nginx', value: of('direct', ({ rate }) => rate), unit: 'requests/s' },
      ],
      raw: Object.fromEntries(runs),
    }
  })
}
