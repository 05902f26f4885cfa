import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { dockerEnv, dockerForTests } from '../../tools/docker/docker-engine.ts'
import { docCommands } from '../../tools/docs/doc-commands.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import { runQuietly } from '../../tools/processes/process.ts'
import { REGION } from '../../tools/s3/s3-server.ts'
import { fixture, upload, uploadFixture } from '../../tools/servers/darkroom.ts'
import { awsCli } from '../support/aws-cli.ts'
import { createProject, openFilesLimit, untilOk } from '../support/compose-project.ts'

const TOKEN = 'a-token-of-an-existing-env-file'

test('Values of .env replace generated secrets, and SETTINGS_FILE holds any setting', {
  timeout: 240_000,
}, async (t) => {
  const { folder, compose, frontUrls, s3Endpoint } = await createProject(t)
  const [front] = frontUrls
  const secretAccessKey = 'a-secret-of-an-existing-env-file'
  const lines = [`S3_SECRET=${secretAccessKey}`, 'MINIO_ROOT_PASSWORD=a-password-of-root', `UPLOAD_TOKENS=${TOKEN}`]
  await writeFile(join(folder, '.env'), `${lines.join('\n')}\nPUBLIC_URL=https://img.example.com\n`)
  await compose('up', '--detach')
  await untilOk(`${front}/readyz`)
  const uploaded = await upload(front, await fixture('mountains.jpg'), 'image/jpeg', TOKEN)
  assert.equal(uploaded.status, 201)
  assert.match(await uploaded.text(), /"src":"https:\/\/img\.example\.com\/image\//)
  const access = { endpoint: s3Endpoint, region: REGION, accessKeyId: 'darkroom', secretAccessKey }
  assert.match(await awsCli(access, ['s3', 'ls', '--recursive', 's3://darkroom']), / originals\//)
  assert.equal((await compose('logs', 'secrets')).includes(TOKEN), false)
  assert.equal((await fetch(front)).status, 200)

  await writeFile(join(folder, 'my.env'), 'HOME_PAGE=false\nPUBLIC_URL=https://other.example.com\n')
  await writeFile(
    join(folder, '.env'),
    `${lines.join('\n')}\nPUBLIC_URL=https://img.example.com\nSETTINGS_FILE=my.env\n`,
  )
  await compose('up', '--detach')
  await untilOk(`${front}/readyz`)
  assert.equal((await fetch(front)).status, 404)
  const again = await upload(front, await fixture('mountains.jpg'), 'image/jpeg', TOKEN)
  assert.match(await again.text(), /"src":"https:\/\/other\.example\.com\/image\//)
})

test('With docker-compose.dev.yml, a changed source file is live in the running container', {
  timeout: 240_000,
}, async (t) => {
  const project = await createProject(t, ['docker-compose.yml', 'docker-compose.dev.yml'])
  const { folder, compose, frontUrls } = project
  const [front] = frontUrls
  await compose('up', '--detach')
  await untilOk(`${front}/readyz`)
  const page = join(folder, 'src/http/home-page/page.html')
  const text = await readFile(page, 'utf8')
  for (const mark of ['once', 'twice', 'three times']) {
    // As editors save a file.
    await writeFile(`${page}.new`, text.replace('<title>', `<title>changed ${mark} `))
    await rename(`${page}.new`, page)
    const changedAt = performance.now()
    while (!(await (await fetch(front)).text()).includes(`<title>changed ${mark} `)) await delay(20)
    t.diagnostic(`milliseconds until a changed source file is live: ${Math.round(performance.now() - changedAt)}`)
  }
  await compose('stop', 'node')
  assert.deepEqual((await project.exitCodes())['node'], [0])
})

test('The read-only container of docs/deploy.md serves uploads, and stops with exit code 0', {
  timeout: 240_000,
}, async (t) => {
  const env = dockerEnv(dockerForTests())
  const docker = (...args: readonly string[]) => runQuietly('docker', args, env)
  const commands = (await docCommands('docs/deploy.md', 'Containers')).join('\n')
  const [, documented = ''] = /^docker run (.*?) darkroom$/ms.exec(commands) ?? []
  const port = await freePort()
  const name = `darkroom-single-${randomBytes(4).toString('hex')}`
  const options = documented
    .replaceAll('\\\n', ' ')
    .replace('--publish 8080:8080', `--publish 127.0.0.1:${port}:8080`)
    .replace('UPLOAD_TOKENS=…', `UPLOAD_TOKENS=${TOKEN}`)
    .replace('originals:', `${name}:`)
    .replace('nofile=65536', `nofile=${await openFilesLimit()}`)
  t.after(async () => {
    await docker('rm', '--force', '--volumes', name)
    await docker('volume', 'rm', name)
  })
  assert.ok(options.includes('--read-only'))
  await docker('run', '--detach', '--name', name, ...options.trim().split(/\s+/), 'darkroom')
  const url = `http://127.0.0.1:${port}`
  await untilOk(`${url}/readyz`)
  const id = await uploadFixture(url, 'mountains.jpg', TOKEN)
  for (const status of ['miss', 'nginx']) {
    const response = await fetch(`${url}/image/${id}/200w.webp`)
    assert.equal(response.status, 200)
    assert.ok(response.headers.get('Server-Timing')?.includes(`desc="${status}"`))
  }
  await assert.rejects(docker('exec', name, 'touch', '/app/file'), /Read-only file system/)
  await docker('stop', '--time', '60', name)
  assert.equal((await docker('inspect', '--format', '{{.State.ExitCode}}', name)).trim(), '0')
})
