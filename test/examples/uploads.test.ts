import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { freePort } from '../../tools/processes/free-port.ts'
import { rawRequest } from '../../tools/requests/raw-request.ts'
import { TOKEN } from '../../tools/requests/token.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { ensureLanguages } from '../../tools/servers/install-servers.ts'
import { startNodeFor } from '../../tools/servers/site.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const EXAMPLES = join(ROOT, 'examples/uploads')
const PICTURE = join(ROOT, 'test/fixtures/mountains.jpg')
const ID = '82343c717326f81108374e694e36782edb04a441'

const commands = await ensureLanguages()
const PROGRAMS = {
  Node: [process.execPath, 'upload.mjs'],
  Python: [commands.python3, 'upload.py'],
  PHP: [commands.php, 'upload.php'],
} as const

for (const [language, [command, program]] of Object.entries(PROGRAMS)) {
  test(`The ${language} example uploads a picture, and says why another one is refused`, async (t) => {
    const node = await startNodeFor(t)
    const run = (token: string, file: string) =>
      spawned(command, [program, file], { DARKROOM_URL: node.url, DARKROOM_TOKEN: token })
    const uploaded = await run(TOKEN, PICTURE)
    assert.match(uploaded.stdout, new RegExp(`^<img src="/image/${ID}/800w" .*>\n$`), uploaded.stderr)
    assert.equal((await rawRequest(node.url, `/image/${ID}/400w`)).status, 200)
    const refused = await run(TOKEN, join(EXAMPLES, program))
    assert.match(refused.stderr, /original_unsupported: /)
    assert.notEqual(refused.status, 0)
    const stranger = await run('', PICTURE)
    assert.match(stranger.stderr, /token_required: /)
  })

  test(`The ${language} example tries again after a 503`, async (t) => {
    let requests = 0
    const busy = createServer((request, response) => {
      request.resume()
      requests += 1
      response.writeHead(requests === 1 ? 503 : 201, { 'Content-Type': 'application/json', 'Retry-After': '1' })
      response.end(
        JSON.stringify(requests === 1 ? { error: 'overloaded', message: 'Later' } : { urls: { html: '<img>' } }),
      )
    })
    const port = await freePort()
    busy.listen(port, '127.0.0.1')
    await once(busy, 'listening')
    t.after(() => busy.close())
    const { stdout, stderr } = await spawned(command, [program, PICTURE], { DARKROOM_URL: `http://127.0.0.1:${port}` })
    assert.deepEqual([stdout, stderr, requests], ['<img>\n', '', 2])
  })
}

test('The backend of the form example passes an upload on, and shows why one is refused', async (t) => {
  const node = await startNodeFor(t)
  const port = await freePort()
  const env = { ...process.env, DARKROOM_URL: node.url, DARKROOM_TOKEN: TOKEN, PORT: String(port) }
  const backend = spawn(process.execPath, ['backend.mjs'], { cwd: EXAMPLES, env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => backend.kill())
  await once(backend.stdout, 'data')
  const url = `http://127.0.0.1:${port}`
  assert.match(await (await fetch(url)).text(), /<input type="file"/)
  const send = async (bytes: Buffer) => {
    const form = new FormData()
    form.set('picture', new Blob([new Uint8Array(bytes)]), 'photo.jpg')
    const response = await fetch(`${url}/pictures`, { method: 'POST', body: form })
    return { status: response.status, page: await response.text() }
  }
  const taken = await send(await fixture('mountains.jpg'))
  const source = /<img src="(?<source>[^"]+)"/.exec(taken.page)?.groups?.['source'] ?? ''
  assert.equal(source, `${node.url}/image/${ID}/800w`)
  assert.equal((await fetch(source)).status, 200)
  const refused = await send(Buffer.from('no picture'))
  assert.deepEqual([refused.status, refused.page.includes('role="alert"')], [415, true])
})

/** Not synchronous where the server is in this process. */
async function spawned(command: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const child = spawn(command, args, {
    cwd: EXAMPLES,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  await once(child, 'close')
  return { stdout, stderr, status: child.exitCode }
}
