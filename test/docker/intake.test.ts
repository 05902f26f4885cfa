import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { distinctCopy } from '../../tools/pictures/distinct-copy.ts'
import { wellDescribed } from '../../tools/pictures/metadata.ts'
import { decoded } from '../../tools/pictures/picture.ts'
import { runQuietly } from '../../tools/processes/process.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { temporaryFolder } from '../../tools/servers/site.ts'
import { createProject, untilOk } from '../support/compose-project.ts'
import { untilSo } from '../support/indexer-example.ts'
import { imagesOf } from '../support/page-images.ts'

const Found = z.object({ images: z.array(z.object({ name: z.string().nullable(), src: z.string() })) })

test('With docker-compose.intake.yml, the indexer finds by its camera what arrives by FTP, FTPS and SFTP', {
  timeout: 400_000,
}, async (t) => {
  const project = await createProject(t, ['docker-compose.yml', 'docker-compose.intake.yml'])
  const { compose, frontUrls, ftpPorts, indexerUrl } = project
  await compose('up', '--detach')
  for (const url of [`${frontUrls[0]}/readyz`, `${indexerUrl}/stats`]) await untilOk(url)
  const secret = async (service: string, path: string) => (await compose('exec', '-T', service, 'cat', path)).trim()
  const password = await secret('ftp', '/secrets/ftp/password')
  const folder = await temporaryFolder(t)
  const photograph = await wellDescribed(await fixture('mountains.jpg'))
  const ways = {
    ftp: [`ftp://127.0.0.1:${ftpPorts.ftp}/`],
    ftps: ['--ssl-reqd', '--insecure', `ftp://127.0.0.1:${ftpPorts.ftp}/`],
    sftp: ['--insecure', `sftp://127.0.0.1:${ftpPorts.sftp}/sftp.jpg`],
  }
  const search = async (q: string) =>
    Found.parse(await (await fetch(`${indexerUrl}/search?${new URLSearchParams({ q }).toString()}`)).json()).images

  await t.test('by curl', async () => {
    for (const [index, [name, options]] of Object.entries(ways).entries()) {
      const path = join(folder, `${name}.jpg`)
      await writeFile(path, distinctCopy(photograph, `${index}`))
      await untilSo(() => curl(['--user', `camera:${password}`, '--upload-file', path, ...options]), `${name} takes it`)
    }
    await untilSo(async () => (await search('camera:"Fixture One"')).length === 3, 'all are found by their camera')
    assert.deepEqual(
      new Set((await search('camera')).map(({ name }) => name)),
      new Set(['ftp.jpg', 'ftps.jpg', 'sftp.jpg']),
    )
  })

  await t.test('with a thumbnail in the page', async () => {
    const browser = await launchBrowser(t)
    const images = await imagesOf(browser, `${indexerUrl}/?q=fixture`, { width: 1280, density: 1 })
    assert.equal(images.length, 3)
    for (const { pixels, url } of images) {
      assert.ok(pixels > 0 && url.startsWith(frontUrls[0]))
      assert.equal((await decoded(Buffer.from(await (await fetch(url)).arrayBuffer()))).format, 'jpeg')
    }
  })
})

/** @returns whether the server took the file. */
async function curl(args: readonly string[]): Promise<boolean> {
  return await runQuietly('curl', ['--silent', '--show-error', '--max-time', '20', ...args], process.env).then(
    () => true,
    () => false,
  )
}
