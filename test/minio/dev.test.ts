import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { freePort } from '../../tools/processes/free-port.ts'
import { runQuietly } from '../../tools/processes/process.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { ensureAwsCli } from '../../tools/servers/install-servers.ts'
import { startDev } from '../support/dev-node.ts'

const ROOT = resolve(import.meta.dirname, '../..')

test('"npm run dev -- --minio" keeps an upload in the bucket of a MinIO that lasts until the next run', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-dev-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const url = `http://127.0.0.1:${await freePort()}`
  const env = { PORT: new URL(url).port, DARKROOM_DEV_DATA: folder }

  const began = performance.now()
  const first = startDev(t, ROOT, env, ['--minio'])
  await first.untilSaid('"msg":"listening"', 1)
  const token = (await readFile(join(folder, 'upload-token'), 'utf8')).trim()
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'image/jpeg' }
  const body = new Uint8Array(await fixture('mountains.jpg'))
  const uploaded = await fetch(`${url}/images`, { method: 'POST', headers, body })
  assert.equal(uploaded.status, 201)
  const id = /"id":"(?<id>[0-9a-f]{40})"/.exec(await uploaded.text())?.groups?.['id'] ?? ''
  assert.equal((await fetch(`${url}/image/${id}/100w`)).status, 200)
  t.diagnostic(`first thumbnail ${Math.round(performance.now() - began)} ms after the start`)
  const listed = await runPrinted(first.said)
  assert.match(listed, new RegExp(`^\\S+ \\S+ +${body.length} originals/\\S+/${id}$`, 'm'))
  const console = /Console: (?<address>\S+),/.exec(first.said)?.groups?.['address'] ?? ''
  assert.match(await (await fetch(console)).text(), /<title>MinIO/i)
  assert.equal(await first.stop(), 0)

  const second = startDev(t, ROOT, env, ['--minio'])
  await second.untilSaid('"msg":"listening"', 1)
  assert.equal((await fetch(`${url}/image/${id}/100w`)).status, 200)
  assert.equal(await second.stop(), 0)
})

/** Runs the command that is printed for the AWS CLI, as it stands. @returns its output. */
async function runPrinted(said: string): Promise<string> {
  const command = /^ *(?<command>AWS_ACCESS_KEY_ID=.* aws .* s3 ls .*)$/m.exec(said)?.groups?.['command'] ?? ''
  const { python, folder } = await ensureAwsCli()
  const own = await mkdtemp(join(tmpdir(), 'darkroom-aws-'))
  try {
    await writeFile(join(own, 'aws'), `#!/bin/sh\nexec ${python} -m awscli "$@"\n`, { mode: 0o755 })
    const PATH = `${own}:${process.env['PATH'] ?? ''}`
    return await runQuietly('sh', ['-c', command], { ...NO_SETTINGS, PATH, PYTHONPATH: folder })
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}

/** Neither files of the user nor the role of the machine. The region is that of the AWS CLI's own default. */
const NO_SETTINGS = {
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_EC2_METADATA_DISABLED: 'true',
}
