import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatSignature, signPath } from '../src/domain/access/signature.ts'
import { cpuSeconds } from '../tools/processes/process-use.ts'
import { jsonFields } from '../tools/requests/raw-request.ts'
import { type Darkroom, fixture, startDarkroom, upload } from '../tools/servers/darkroom.ts'
import { startNodeNginx } from '../tools/servers/nginx.ts'
import { measureTls, setTlsStage, type TlsRuns, tlsFigures } from './hits-tls.ts'
import { type BenchOptions, type BenchReport, measureInTurn, median } from './measure.ts'
import { startNodeProcess } from './node-process.ts'
import { startBareNginx, startProxyCache, startStaticNginx } from './static-nginx.ts'
import { type Load, loadWithWrk } from '../tools/requests/wrk.ts'

const TOKEN = 'a token for the benchmark'.replaceAll(' ', '-')
const KEY = 'a key for the benchmark'.replaceAll(' ', '-')
const ACCEL_PREFIX = '/_renditions/'
const SPEC = '400w'
const WANTED = { direct: 0.97, proxyCache: 1.05, koa: 0.7, koaOfBare: 0.2, nodeMicroseconds: 35 } as const

const WAYS = ['bare', 'static', 'proxyCache', 'direct', 'constantKoa', 'koa', 'signedKoa'] as const
type Way = (typeof WAYS)[number]

interface Target {
  readonly url: string
  /** Of all servers that work for an answer. */
  readonly pids: readonly number[]
  /** Of those: the process behind nginx. */
  readonly node?: number
}

type Measured = Load & { readonly cpuMicroseconds: number; readonly nodeMicroseconds: number }

/**
 * A hit through nginx alone against a plain static file and against proxy_cache, and a hit through Koa against a Koa that answers a
 * constant and against a bare nginx; what a signature and TLS cost; requests per second of one 400 px JPEG on 64 connections.
 */
export async function benchHits({ smoke, imagesDir }: BenchOptions): Promise<BenchReport> {
  const photograph = smoke ? await fixture('mountains.jpg') : await readFile(join(imagesDir, '12mp-1.jpg'))
  const { targets, tls, stop } = await setStage(photograph)
  try {
    const seconds = smoke ? 1 : 2
    if (!smoke) for (const way of WAYS) await loadWithWrk(targets[way].url, 1)
    const runs = await measureInTurn(WAYS, smoke ? 1 : 11, (way) => measure(targets[way], seconds))
    return report(runs, await measureTls(tls, smoke))
  } finally {
    await stop()
  }
}

async function setStage(photograph: Buffer) {
  const stops: (() => Promise<void>)[] = []
  const stop = async () => {
    for (const end of stops.toReversed()) await end()
  }
  const started = <T extends { stop(): Promise<void> }>(server: T): T => {
    stops.push(() => server.stop())
    return server
  }
  try {
    const env = { ACCEL_PREFIX, UPLOAD_TOKENS: TOKEN }
    const node = started(await startDarkroom({ env }))
    const signing = started(await startDarkroom({ env: { ...env, SIZE_POLICY: 'signed', URL_KEYS: KEY } }))
    const path = await uploadedPath(node, photograph)
    await uploadedPath(signing, photograph)
    const query = formatSignature(signPath(path.replace('/x.jpg', '/.jpg'), KEY))

    const { cacheDir } = node
    const directHits = false
    const direct = started(await startNodeNginx({ nodePort: node.port, cacheDir }))
    const koa = started(await startNodeNginx({ nodePort: node.port, cacheDir, directHits }))
    const signed = started(await startNodeNginx({ nodePort: signing.port, cacheDir: signing.cacheDir, directHits }))

    // The first view makes the rendition, the second is the hit.
    await expectPicture(koa.origin + path)
    const picture = await expectPicture(koa.origin + path)
    await expectPicture(`${signed.origin}${path}?${query}`)
    const hit = await expectPicture(direct.origin + path)
    assert.match(hit.headers.get('server-timing') ?? '', /nginx/, 'a direct hit')

    const constant = started(await startNodeProcess('constant-koa.ts', { HEADERS: await headersOfNode(node, path) }))
    const constantKoa = started(await startNodeNginx({ nodePort: constant.port, cacheDir, directHits }))
    const still = started(await startStaticNginx(hit.bytes, hit.headers))
    assert.deepEqual(withoutTimes(picture.headers), withoutTimes(hit.headers))
    assert.deepEqual(withoutTimes((await expectPicture(still.url)).headers), withoutTimes(hit.headers))
    assert.deepEqual((await expectPicture(constantKoa.origin + path)).bytes, hit.bytes)

    const bare = started(await startBareNginx(hit.bytes))
    const { origin, pathname } = new URL(still.url)
    const proxyCache = started(await startProxyCache({ origin, path: pathname.slice(1) }))
    assert.deepEqual(withoutTimes((await expectPicture(proxyCache.url)).headers), withoutTimes(hit.headers))
    const tls = await setTlsStage({ nodePort: node.port, cacheDir, path }, started)

    const targets = {
      bare: { url: bare.url, pids: [bare.pid] },
      proxyCache: { url: proxyCache.url, pids: [proxyCache.pid] },
      static: { url: still.url, pids: [still.pid] },
      direct: { url: direct.origin + path, pids: [direct.pid, node.pid] },
      constantKoa: { url: constantKoa.origin + path, pids: [constantKoa.pid, constant.pid], node: constant.pid },
      koa: { url: koa.origin + path, pids: [koa.pid, node.pid], node: node.pid },
      signedKoa: { url: `${signed.origin}${path}?${query}`, pids: [signed.pid, signing.pid], node: signing.pid },
    } satisfies Record<Way, Target>
    return { targets, tls, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function uploadedPath(node: Darkroom, photograph: Buffer): Promise<string> {
  const response = await upload(node.url, photograph, 'image/jpeg', TOKEN)
  assert.equal(response.status, 201)
  return `/image/${String(jsonFields(await response.text())['id'])}/${SPEC}/x.jpg`
}

async function expectPicture(url: string): Promise<{ readonly bytes: Buffer; readonly headers: Headers }> {
  const response = await fetch(url)
  assert.equal(response.status, 200, url)
  assert.equal(response.headers.get('content-type'), 'image/jpeg')
  return { bytes: Buffer.from(await response.arrayBuffer()), headers: response.headers }
}

/** What the node tells nginx about this hit, for the process that always says the same. */
async function headersOfNode({ url }: Darkroom, path: string): Promise<string> {
  const { headers } = await fetch(url + path, { headers: { 'X-Darkroom-Accel-Prefix': ACCEL_PREFIX } })
  const wanted = ['content-type', 'x-accel-redirect', 'x-darkroom-cache-control']
  return JSON.stringify(Object.fromEntries(wanted.map((name) => [name, headers.get(name) ?? ''])))
}

function withoutTimes(headers: Headers): Record<string, string> {
  const {
    date: _date,
    'last-modified': _modified,
    etag: _etag,
    'server-timing': _timing,
    ...rest
  } = Object.fromEntries(headers)
  return rest
}

async function measure({ url, pids, node }: Target, seconds: number): Promise<Measured> {
  const nodes = node === undefined ? [] : [node]
  const before = { all: await cpuOf(pids), node: await cpuOf(nodes) }
  const load = await loadWithWrk(url, seconds)
  const microseconds = (used: number) => (used / (load.requestsPerSecond * seconds)) * 1e6
  return {
    ...load,
    cpuMicroseconds: microseconds((await cpuOf(pids)) - before.all),
    nodeMicroseconds: microseconds((await cpuOf(nodes)) - before.node),
  }
}

async function cpuOf(pids: readonly number[]): Promise<number> {
  const seconds = await Promise.all(pids.map(cpuSeconds))
  return seconds.reduce((sum, used) => sum + used, 0)
}

function report(runs: ReadonlyMap<Way, readonly Measured[]>, tls: TlsRuns): BenchReport {
  const rate = (way: Way) => median((runs.get(way) ?? []).map((run) => run.requestsPerSecond))
  const cpu = (way: Way) => median((runs.get(way) ?? []).map((run) => run.cpuMicroseconds))
  const node = (way: Way) => median((runs.get(way) ?? []).map((run) => run.nodeMicroseconds))
  const perSecond = (name: string, way: Way) => [
    { name, value: rate(way), unit: 'requests/s' },
    { name: '  CPU of the servers for one', value: cpu(way), unit: 'µs' },
  ]
  const figures = [
    { name: 'nginx alone, of a static file', value: rate('direct') / rate('static'), wanted: `>= ${WANTED.direct}` },
    { name: '  by CPU', value: cpu('static') / cpu('direct'), wanted: `>= ${WANTED.direct}` },
    {
      name: 'nginx alone, of proxy_cache',
      value: rate('direct') / rate('proxyCache'),
      wanted: `>= ${WANTED.proxyCache}`,
    },
    { name: '  by CPU', value: cpu('proxyCache') / cpu('direct'), wanted: `>= ${WANTED.proxyCache}` },
    { name: 'nginx alone: CPU above a bare nginx', value: cpu('direct') - cpu('bare'), unit: 'µs' },
    { name: 'Koa, of a constant Koa', value: rate('koa') / rate('constantKoa'), wanted: `>= ${WANTED.koa}` },
    { name: 'Koa, of a static file', value: rate('koa') / rate('static') },
    { name: 'Koa, of a bare nginx', value: rate('koa') / rate('bare'), wanted: `>= ${WANTED.koaOfBare}` },
    { name: 'a constant Koa, of a bare nginx', value: rate('constantKoa') / rate('bare') },
    { name: 'CPU of the node for a hit', value: node('koa'), unit: 'µs', wanted: `<= ${WANTED.nodeMicroseconds}` },
    { name: '  signed', value: node('signedKoa'), unit: 'µs' },
    { name: '  of a constant Koa', value: node('constantKoa'), unit: 'µs' },
    { name: 'Koa with signed URLs, of Koa', value: rate('signedKoa') / rate('koa') },
    ...perSecond('a bare nginx', 'bare'),
    ...perSecond('a static file', 'static'),
    ...perSecond('a hit of proxy_cache', 'proxyCache'),
    ...perSecond('a hit by nginx alone', 'direct'),
    ...perSecond('a constant Koa', 'constantKoa'),
    ...perSecond('a hit through Koa', 'koa'),
    ...perSecond('a hit through Koa, signed', 'signedKoa'),
    ...tlsFigures(tls),
  ]
  return { figures, raw: { ...Object.fromEntries(runs), tls: Object.fromEntries(tls) } }
}
