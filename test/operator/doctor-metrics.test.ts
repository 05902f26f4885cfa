import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, readFile, stat, symlink } from 'node:fs/promises'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../tools/processes/free-port.ts'
import { createServerFolder, startServer } from '../../tools/processes/process.ts'
import { makeCertificate } from '../../tools/servers/certificate.ts'
import { ensureNodeExporter } from '../../tools/servers/install-servers.ts'
import { startPrometheus } from '../../tools/servers/prometheus.ts'
import { newStore, stopAfter, temporaryFolder } from '../../tools/servers/site.ts'
import { runDoctor } from '../support/doctor.ts'

const ROOT = join(import.meta.dirname, '../..')

/** An HTTPS server on 127.0.0.1 whose certificate can be replaced. */
async function startHttps(t: TestContext, days: number) {
  const certificate = (left: number) => makeCertificate({ names: ['IP:127.0.0.1'], days: left })
  const server = createServer(await certificate(days))
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return {
    origin: `https://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    renew: async (left: number) => server.setSecureContext(await certificate(left)),
  }
}

/** Debian's node exporter, with the textfile collector only. @returns its address, and the folder that it reads. */
async function startNodeExporter(t: TestContext) {
  const folder = await createServerFolder('node-exporter')
  const textfiles = join(folder, 'textfiles')
  await mkdir(textfiles)
  const address = `127.0.0.1:${await freePort()}`
  const server = await startServer({
    name: 'node-exporter',
    command: await ensureNodeExporter(),
    args: [
      '--collector.disable-defaults',
      '--collector.textfile',
      `--collector.textfile.directory=${textfiles}`,
      `--web.listen-address=${address}`,
    ],
    folder,
    isReady: async () => (await fetch(`http://${address}/metrics`)).ok,
    readyTimeoutMs: 30_000,
  })
  stopAfter(t, server.stop)
  return { address, textfiles }
}

test('Prometheus hears from the doctor that a certificate is about to expire, until it is renewed', async (t) => {
  const { env } = await newStore()
  const folder = await temporaryFolder(t)
  const https = await startHttps(t, 5)
  const exporter = await startNodeExporter(t)
  const file = join(folder, 'darkroom.prom')
  await symlink(file, join(exporter.textfiles, 'darkroom.prom'))
  const settings = { ...env, CACHE_DIR: join(folder, 'cache'), PUBLIC_URL: https.origin }
  const examine = () => runDoctor(settings, ['--quiet', '--metrics', file])
  const prometheus = await startPrometheus(t, {
    targets: [],
    otherJobs: { machines: [exporter.address] },
    rules: await readFile(join(ROOT, 'packaging/prometheus/alerts.yml'), 'utf8'),
  })

  const { code, stderr } = await examine()
  // Nobody trusts a certificate that signed itself.
  assert.deepEqual([code, stderr], [1, ''])
  assert.equal((await stat(file)).mode & 0o777, 0o644)
  const { summary } = await prometheus.untilFiring('DarkroomCertificateExpires')
  assert.equal(summary, `The TLS certificate of ${https.host} expires in 4 days`)
  assert.deepEqual(await prometheus.query('darkroom_doctor_findings{check="certificate",status="failure"}'), [1])

  await https.renew(-1)
  await examine()
  assert.match((await prometheus.untilFiring('DarkroomCertificateExpired')).summary, /has expired$/)

  await https.renew(90)
  await examine()
  await prometheus.untilNonEmpty('darkroom_doctor_certificate_days_left == 89')
  // Pending, because nobody trusts the certificate.
  await prometheus.untilQuiet(['DarkroomDoctorFails'])

  const page = await readFile(join(ROOT, 'docs/metrics.md'), 'utf8')
  const names = (await readFile(file, 'utf8')).matchAll(/^# TYPE (\w+) gauge$/gm)
  assert.deepEqual(
    Array.from(names, ([, name = '']) => page.includes(`| \`${name}\` |`)),
    [true, true, true],
  )

  const nowhere = await runDoctor(settings, ['--quiet', '--metrics', join(folder, 'missing/darkroom.prom')])
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.stderr, /--metrics: cannot write \S+\/missing\/darkroom\.prom: ENOENT/)
})
