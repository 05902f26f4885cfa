import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import { freePort } from '../../tools/processes/free-port.ts'
import { createTestClient, REGION } from '../../tools/s3/s3-server.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { startDev } from '../support/dev-node.ts'

const ROOT = resolve(import.meta.dirname, '../..')

test('"npm run dev -- --minio" keeps an upload in the bucket of a MinIO that lasts until the next run', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-dev-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const url = `http://127.0.0.1:${await freePort()}`
  const env = { PORT: new URL(url).port, DARKROOM_DEV_DATA: folder }

  const first = startDev(t, ROOT, env, ['--minio'])
  await first.untilSaid('"msg":"listening"', 1)
  const token = (await readFile(join(folder, 'upload-token'), 'utf8')).trim()
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'image/jpeg' }
  const body = new Uint8Array(await fixture('mountains.jpg'))
  const uploaded = await fetch(`${url}/images`, { method: 'POST', headers, body })
  assert.equal(uploaded.status, 201)
  const id = /"id":"(?<id>[0-9a-f]{40})"/.exec(await uploaded.text())?.groups?.['id'] ?? ''
  const keys = await listedKeys(first.said)
  assert.ok(
    keys.some((key) => key.startsWith('originals/') && key.endsWith(id)),
    `${keys.join(' ')} should have ${id}`,
  )
  const console = /Console: (?<address>\S+),/.exec(first.said)?.groups?.['address'] ?? ''
  assert.match(await (await fetch(console)).text(), /<title>MinIO/i)
  assert.equal(await first.stop(), 0)

  const second = startDev(t, ROOT, env, ['--minio'])
  await second.untilSaid('"msg":"listening"', 1)
  assert.equal((await fetch(`${url}/image/${id}/100w`)).status, 200)
  assert.equal(await second.stop(), 0)
})

/** By what is printed for the command line. */
async function listedKeys(said: string): Promise<string[]> {
  const command =
    /AWS_ACCESS_KEY_ID=(?<user>\S+) AWS_SECRET_ACCESS_KEY=(?<secret>\S+) aws --endpoint-url (?<endpoint>\S+)/
  const { user = '', secret = '', endpoint = '' } = command.exec(said)?.groups ?? {}
  const access = { kind: 'minio', endpoint, region: REGION, accessKeyId: user, secretAccessKey: secret } as const
  const client = createTestClient(access)
  try {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'darkroom' }))
    return Contents.flatMap(({ Key }) => (Key === undefined ? [] : [Key]))
  } finally {
    client.destroy()
  }
}
