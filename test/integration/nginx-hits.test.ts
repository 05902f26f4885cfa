import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSizeSteps, DEFAULT_STEPS, stepSpec } from '../../src/domain/access/size-steps.ts'
import { CACHE_TAG_HEADERS } from '../../src/domain/caching/cache-tags.ts'
import { acceptClass } from '../../src/domain/spec/image-format.ts'
import { formatSpec, parseSpec } from '../../src/domain/spec/spec.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { answerOwn, FOLDER, ID, PICTURE_HEADERS, setStage } from '../support/stand-in-node.ts'

test('A rendition on disk is sent by nginx alone, with all headers of a picture', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  for (const method of ['GET', 'HEAD']) {
    const { status, headers, rawHeaders, body } = await rawRequest(nginx.origin, `/image/${ID}/400w/cat.webp`, {
      method,
    })
    assert.equal(status, 200)
    assert.equal(body.toString(), method === 'GET' ? 'a picture' : '')
    const { date: _date, connection: _connection, ...rest } = headers
    assert.deepEqual(rest, {
      ...PICTURE_HEADERS,
      server: 'nginx',
      'content-type': 'image/webp',
      'content-length': '9',
      etag: `"${(1_700_000_000).toString(16)}-9"`,
      'last-modified': new Date(1_700_000_000_000).toUTCString(),
      'cache-control': 'public, max-age=31536000, immutable',
      'cache-tag': ID,
      'server-timing': 'cache;desc="nginx"',
    })
    assert.equal(rawHeaders.length / 2, Object.keys(headers).length, 'no header came twice')
  }
  assert.deepEqual(node.requests, [])
})

test('A direct hit has the tag headers of the site line, and no others', async (t) => {
  const line = (names: string) => `map "" $tag_headers { default "${names}"; }`
  const site = { [line('Cache-Tag')]: line('surrogate-key, Edge-Cache-Tag,xkey,Cache-Groups') }
  const { nginx, node, publish } = await setStage(t, answerOwn, { site })
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  for (const method of ['GET', 'HEAD']) {
    const { headers } = await rawRequest(nginx.origin, `/image/${ID}/400w.webp`, { method })
    assert.deepEqual(
      CACHE_TAG_HEADERS.map((name) => headers[name.toLowerCase()]),
      [undefined, ID, ID, ID, `"${ID}"`],
    )
  }
  assert.deepEqual(node.requests, [])
})

const TYPES = { jpg: 'image/jpeg', png: 'image/png', webp: 'image/webp', avif: 'image/avif', gif: 'image/gif' } as const

test('The type of a direct hit is that of its extension', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  for (const [extension, type] of Object.entries(TYPES)) {
    await publish(`${FOLDER}/200s,2x,q60.${extension}`, extension)
    const { headers, body } = await rawRequest(nginx.origin, `/image/${ID}/200s,2x,q60/cat.${extension}`)
    assert.equal(headers['content-type'], type)
    assert.equal(body.toString(), extension)
  }
  assert.deepEqual(node.requests, [])
})

test('A format without a name is the same file, and no format is taken for one', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  for (const extension of Object.keys(TYPES)) await publish(`${FOLDER}/400w,1.5x.${extension}`, `of ${extension}`)
  await publish(`${FOLDER}/400w,1.5x.auto-other.jpg`, 'negotiated')
  for (const [extension, type] of Object.entries(TYPES)) {
    const { status, headers, body } = await rawRequest(nginx.origin, `/image/${ID}/400w,1.5x.${extension}?v=3`)
    assert.deepEqual([status, headers['content-type'], headers.vary], [200, type, undefined])
    assert.equal(body.toString(), `of ${extension}`)
    assert.equal(headers['cache-tag'], ID)
    assert.equal(headers['server-timing'], 'cache;desc="nginx"')
  }
  assert.equal((await rawRequest(nginx.origin, `/image/${ID}/400w,1.5x`)).body.toString(), 'negotiated')
  assert.deepEqual(node.requests, [])
})

test('A query and any name leave a direct hit one', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w,1.5x.webp`, 'a picture')
  for (const rest of [
    'x.webp?',
    'x.webp?v=2',
    'x.webp?v=w&e=1&s=h&x=%77',
    'x.webp?www=1&width2=1&aw=1&a-h=1&sizes=1',
    'x.webp?a=?w=1',
    '...webp',
    "a-b_c~!$&'()*+,;=:@.webp",
    'a%20b.webp',
    'caf%C3%A9.webp',
    '%E7%8C%AB.webp',
    '%FF%80%c0.webp',
    'a%2F..%2fb%25.webp',
    'a|b^c`{d}"<\\>.webp',
  ]) {
    const { body } = await rawRequest(nginx.origin, `/image/${ID}/400w,1.5x/${rest}`)
    assert.equal(body.toString(), 'a picture', rest)
  }
  assert.deepEqual(node.requests, [])
})

const SPELLINGS = [
  `/image/${ID.toUpperCase()}/400w/x.webp`,
  `/image/%33${ID.slice(1)}/400w/x.webp`,
  `/image/${ID}/%3400w/x.webp`,
  `/image/${ID}/400w/x%2Ewebp`,
  `/image/${ID}/400w/x.web%70`,
  `/image/${ID}/400w/x.WEBP`,
  `/image/${ID}/400W/x.webp`,
  `/image/${ID}/400w/.webp`,
  `/image/${ID}/400w/x.webp/`,
  `/image/${ID}/400w//x.webp`,
  `/image//${ID}/400w/x.webp`,
  `//image/${ID}/400w/x.webp`,
  `/image/${ID}/400w/./x.webp`,
  `/image/${ID}/300w/../400w/x.webp`,
  `/x/../image/${ID}/400w/x.webp`,
  `/image/${ID}/400w/a/x.webp`,
  `/image/${ID}/400w.auto-avif/x.webp`,
  `/image/${ID}/400w.auto-avif.webp`,
  `/image/${ID}/400w%2Ewebp`,
  `/image/${ID}/400w.WEBP`,
  `/image/${ID}/400w.jpeg`,
  `/image/${ID}/400w.tiff`,
  `/image/${ID}/400w.webp.webp`,
  `/image/${ID}/400w.webp/x.webp`,
  `/image/${ID}/..`,
  `/image/${ID}/../x.webp`,
  `/image/3f/2a/${ID}/400w.webp`,
  `/image/${ID}0/400w/x.webp`,
  `/image/${ID}/400w%2Fx.webp`,
  `/image/${ID}/400w/../../../../../originals/image/3f/2a/${ID}`.replace('../../../../../', '../../../'),
  `/_renditions/${FOLDER}/400w.webp`,
  `/image/../_renditions/${FOLDER}/400w.webp`,
  `/_renditions/../originals/image/3f/2a/${ID}`,
]

test('Any other spelling goes to the node as it came, whatever is on disk', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  for (const name of ['400w.webp', '400w.auto-avif.webp', '400w.auto-other.jpg', '..webp', 'x.webp']) {
    await publish(`${FOLDER}/${name}`, 'a file that this URL must not reach')
  }
  await publish(`../originals/image/3f/2a/${ID}`, 'an original')
  for (const path of SPELLINGS) {
    const { status, body } = await rawRequest(nginx.origin, path, { headers: { Accept: 'image/avif' } })
    assert.equal(body.toString(), `node saw GET ${path}`)
    assert.equal(status, 299)
  }
  assert.deepEqual(
    node.requests,
    SPELLINGS.map((path) => `GET ${path}`),
  )
})

test('A path that leaves the root, or holds a zero byte, is refused in JSON', async (t) => {
  const { nginx, node } = await setStage(t, answerOwn)
  for (const path of [
    '/../etc/passwd',
    `/image/${ID}/../../../etc/passwd`,
    '/%2e%2e/etc/passwd',
    '/image/%00',
    '/image/%zz',
  ]) {
    const { status, body } = await rawRequest(nginx.origin, path)
    assert.equal(status, 400, path)
    assert.equal(jsonFields(body).error, 'invalid_request')
  }
  assert.deepEqual(node.requests, [])
})

test('Other methods than GET and HEAD go to the node', async (t) => {
  const { nginx, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const { status, body } = await rawRequest(nginx.origin, `/image/${ID}/400w/x.webp`, { method })
    assert.equal(status, 299)
    assert.equal(body.toString(), `node saw ${method} /image/${ID}/400w/x.webp`)
  }
})

test('With direct hits switched off everything goes to the node', async (t) => {
  const { nginx, publish } = await setStage(t, answerOwn, { directHits: false })
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  await publish(`${FOLDER}/400w.auto-other.jpg`, 'a picture')
  for (const path of [`/image/${ID}/400w/x.webp`, `/image/${ID}/400w`]) {
    assert.equal((await rawRequest(nginx.origin, path)).status, 299)
  }
})

const OPTIONS = ['w', 'h', 'width', 'height', 'q', 'quality', 'size', 'fit', 'format', 'dpr'] as const

test('A query with a name that looks like an option goes to the node, whatever is on disk', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  for (const name of ['400w.webp', '400w.auto-other.jpg']) await publish(`${FOLDER}/${name}`, 'a picture')
  const queries = OPTIONS.flatMap((name) => [
    `${name}=400`,
    name,
    `${name}&v=1`,
    `v=1&${name.toUpperCase()}=`,
    `a&&${name}=1`,
    `%${name.charCodeAt(0).toString(16)}${name.slice(1)}=1`,
    `${name}#`,
  ])
  for (const path of [`/image/${ID}/400w/x.webp`, `/image/${ID}/400w.webp`, `/image/${ID}/400w`]) {
    assert.equal((await rawRequest(nginx.origin, `${path}?v=3`)).status, 200)
    for (const query of queries) {
      const { body } = await rawRequest(nginx.origin, `${path}?${query}`)
      assert.equal(body.toString(), `node saw GET ${path}?${query}`)
    }
  }
  assert.equal(node.requests.length, 3 * queries.length)
})

const ACCEPTS = [
  undefined,
  '',
  '*/*',
  'image/*',
  'image/avif',
  'image/webp',
  'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8',
  'image/webp,*/*;q=0.1',
  'text/html, application/xhtml+xml,\timage/webp ; q=0.5',
  'IMAGE/AVIF;Q=1',
  'image/avif;q=0',
  'image/avif;q=0.0, image/webp',
  'image/avif ; q=0.000 , image/webp;q=0.001',
  'image/avif;q=0.01',
  'image/avif;level=1;q=0,image/webp;q=0',
  'image/webp;q=0.,image/avif;q=0;x=1',
  'image/avif-sequence',
  'ximage/webp',
  'image/webp2, image/png',
  'image/png, image/webp;v=1;q=0.7',
]

test('nginx puts every Accept header into the class that the node puts it into', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  for (const name of ['avif.avif', 'webp.webp', 'other.jpg']) await publish(`${FOLDER}/400w.auto-${name}`, name)
  const names = { avif: 'avif.avif', webp: 'webp.webp', other: 'other.jpg' } as const
  for (const accept of ACCEPTS) {
    const headers = accept === undefined ? {} : { Accept: accept }
    const { body, headers: answered } = await rawRequest(nginx.origin, `/image/${ID}/400w`, { headers })
    assert.equal(body.toString(), names[acceptClass(accept)], accept)
    assert.equal(answered.vary, 'Accept')
    assert.equal(answered['cache-tag'], ID)
    assert.equal(answered['cache-control'], 'public, max-age=31536000, immutable')
  }
  assert.deepEqual(node.requests, [])
})

test('A negotiated picture is found in each format of its class, with its type', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  const cases = {
    '1w.auto-avif.avif': 'avif',
    '2w.auto-avif.webp': 'avif',
    '3w.auto-webp.webp': 'webp',
    '4w.auto-other.jpg': 'x',
    '5w.auto-other.png': 'x',
    '6w.auto-other.gif': 'x',
  } as const
  for (const [name, accepted] of Object.entries(cases)) {
    await publish(`${FOLDER}/${name}`, name)
    const [spec = '', , extension] = name.split('.')
    const { headers, body } = await rawRequest(nginx.origin, `/image/${ID}/${spec}`, {
      headers: { Accept: `image/${accepted}` },
    })
    assert.equal(body.toString(), name)
    assert.equal(headers['content-type'], Object.entries(TYPES).find(([format]) => format === extension)?.[1])
  }
  assert.deepEqual(node.requests, [])
  await rawRequest(nginx.origin, `/image/${ID}/3w`, { headers: { Accept: 'image/avif' } })
  assert.deepEqual(node.requests, [`GET /image/${ID}/3w`], "another class's picture is none of this client's")
})

test('A client that has the picture is told so, with the same headers', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  const path = `/image/${ID}/400w/x.webp`
  const { etag = '', 'last-modified': lastModified = '' } = (await rawRequest(nginx.origin, path)).headers
  const conditions = [
    { 'If-None-Match': etag },
    { 'If-None-Match': `"a", W/${etag}` },
    { 'If-None-Match': '*' },
    { 'If-Modified-Since': lastModified },
  ]
  for (const condition of conditions) {
    const { status, headers, body } = await rawRequest(nginx.origin, path, { headers: condition })
    assert.equal(status, 304)
    assert.equal(body.length, 0)
    assert.equal(headers.etag, etag)
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
    assert.equal(headers['access-control-allow-origin'], '*')
  }
  const later = new Date(Date.parse(lastModified) + 60_000).toUTCString()
  for (const condition of [{ 'If-None-Match': '"a"' }, { 'If-Modified-Since': later }]) {
    assert.equal((await rawRequest(nginx.origin, path, { headers: condition })).status, 200)
  }
  assert.deepEqual(node.requests, [])
})

test('A failed precondition is refused in JSON without caching', async (t) => {
  const { nginx, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  const { status, headers, body } = await rawRequest(nginx.origin, `/image/${ID}/400w/x.webp`, {
    headers: { 'If-Match': '"a"' },
  })
  assert.equal(status, 412)
  assert.equal(headers['cache-control'], 'no-store')
  assert.equal(jsonFields(body).error, 'precondition_failed')
})

test('A request for a range goes to the node, which knows whether it can be satisfied', async (t) => {
  const { nginx, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  const { status } = await rawRequest(nginx.origin, `/image/${ID}/400w/x.webp`, { headers: { Range: 'bytes=99-' } })
  assert.equal(status, 299)
})

test('A file that can not be opened after all is asked of the node', async (t) => {
  const { nginx, cacheDir, publish } = await setStage(t, answerOwn, process.getuid?.() === 0 ? { user: 'daemon' } : {})
  await chmod(cacheDir, 0o755)
  await chmod(await publish(`${FOLDER}/1w.webp`, 'not readable'), 0o000)
  // A pipe is there when nginx looks, and no file when nginx opens it: the answer within nginx is a 404.
  execFileSync('mkfifo', [join(cacheDir, 'renditions', FOLDER, '2w.webp')])
  for (const spec of ['1w', '2w', '3w']) {
    const { status, headers } = await rawRequest(nginx.origin, `/image/${ID}/${spec}/x.webp`)
    assert.equal(status, 299, spec)
    assert.equal(headers['cache-control'], undefined)
    assert.equal(headers['x-own'], 'yes')
  }
})

test('No symbolic link below the hit tree is followed; the cache folder itself may be one', async (t) => {
  const { nginx, cacheDir, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/1w.webp`, 'a picture')
  await rename(join(cacheDir, 'renditions'), join(cacheDir, 'elsewhere'))
  await symlink('elsewhere', join(cacheDir, 'renditions'))
  assert.equal((await rawRequest(nginx.origin, `/image/${ID}/1w/x.webp`)).status, 200)
  await writeFile(join(cacheDir, 'secret'), 'a secret')
  await symlink(join(cacheDir, 'secret'), join(cacheDir, 'elsewhere', FOLDER, '2w.webp'))
  assert.equal((await rawRequest(nginx.origin, `/image/${ID}/2w/x.webp`)).status, 299)
  const other = 'ab'.repeat(20)
  await mkdir(join(cacheDir, 'elsewhere/image/ab/ab'), { recursive: true })
  await symlink(join(cacheDir, 'elsewhere', FOLDER), join(cacheDir, 'elsewhere/image/ab/ab', other))
  assert.equal((await rawRequest(nginx.origin, `/image/${other}/1w/x.webp`)).status, 299)
})

const STEPPING = { site: { 'map "" $size_steps { default off; }': 'map "" $size_steps { default on; }' } } as const

test('With steps, nginx sends the file of the step that the node would choose, in any format', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn, STEPPING)
  const steps = createSizeSteps({
    sides: DEFAULT_STEPS.split(' ').map(Number),
    sizes: [parseSpec('400w,q80')],
    maxSide: 8192,
  })
  const lengths = [1, 9, 10, 99, 100, 5000, 99_999, ...steps.sides.flatMap((side) => [side - 1, side, side + 1])]
  const asked = lengths.flatMap((n) => [`${n}w`, `${n}h`, `${n}s`, `${n}w,q80`, `${n}w300h`, `100w${n}h`])
  for (const spec of asked) {
    const step = formatSpec(stepSpec(parseSpec(spec), steps))
    await publish(`${FOLDER}/${step}.webp`, step)
    await publish(`${FOLDER}/${step}.auto-other.png`, `${step}, negotiated`)
    for (const [rest, body, vary] of [
      ['.webp', step, undefined],
      ['/x.webp', step, undefined],
      ['', `${step}, negotiated`, 'Accept'],
    ] as const) {
      const answer = await rawRequest(nginx.origin, `/image/${ID}/${spec}${rest}`)
      assert.deepEqual([answer.status, answer.body.toString(), answer.headers.vary], [200, body, vary], spec + rest)
      assert.equal(answer.headers['cache-control'], 'public, max-age=31536000, immutable')
      assert.equal(answer.headers['cache-tag'], ID)
    }
  }
  assert.deepEqual(node.requests, [])
})

test('With steps, the node gets all URLs that are not canonical, crops, and sizes without a file', async (t) => {
  const seen: unknown[] = []
  const { nginx, publish } = await setStage(
    t,
    (request, response) => {
      seen.push([request.url, request.headers['x-not-on-disk'] ?? ''])
      response.writeHead(404).end()
    },
    STEPPING,
  )
  for (const spec of ['40w', '480w', '480w320h', '480w320h,cover', '480w480h,cover'])
    await publish(`${FOLDER}/${spec}.webp`, spec)
  const asked = [
    ['05w', '1'],
    ['0400w', '1'],
    ['9999999w', '1'],
    ['400W', ''],
    ['500w', '1'],
    ['400w,q80', '1'],
    ['400w300h,cover', ''],
    ['400w300h400w', '1'],
  ]
  for (const [spec] of asked) await rawRequest(nginx.origin, `/image/${ID}/${spec}.webp`)
  assert.deepEqual(
    seen,
    asked.map(([spec, isAbsent]) => [`/image/${ID}/${spec}.webp`, isAbsent]),
  )
})

test('Without steps, nginx sends no other file than the requested one', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/480w.webp`, 'a step')
  await rawRequest(nginx.origin, `/image/${ID}/400w.webp`)
  assert.equal(node.requests.length, 1)
})
