import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { z } from 'zod'
import { decoded } from '../../tools/pictures/picture.ts'
import { runQuietly } from '../../tools/processes/process.ts'
import { ask } from '../../tools/requests/ask.ts'
import { fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { ensureDjango } from '../../tools/servers/install-frameworks.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { startNodeFor } from '../../tools/servers/site.ts'
import { startSignedNode } from '../support/signed-node.ts'

const THUMBOR_KEY = 'a-thumbor-key'
const IMGPROXY = { key: '736563726574', salt: '68656c6c6f' } as const

/** Prints the URLs of an uploaded picture and of an object, by name, as JSON. Arguments: the node and the id. */
const PROGRAM = `
import json, sys
from django.conf import settings
node, id = sys.argv[1:]
settings.configure(
    INSTALLED_APPS=["django_thumbor"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    MEDIA_URL="/media/",
    THUMBOR_SERVER=f"{node}/thumbor",
    THUMBOR_SECURITY_KEY="${THUMBOR_KEY}",
    THUMBOR_MEDIA_URL="s3://photos",
)
import django
django.setup()
from django.template import engines
from django_thumbor import generate_url
from imgproxy import ImgProxy
from libthumbor import CryptoURL

tag = '{% load thumbor_tags %}{% thumbor_url "/media/a b.jpg" width=300 height=200 %}'
imgproxy = ImgProxy.factory(proxy_host=f"{node}/imgproxy", key="${IMGPROXY.key}", salt="${IMGPROXY.salt}")
print(json.dumps({
    "libthumbor": f"{node}/thumbor" + CryptoURL(key="${THUMBOR_KEY}").generate(width=300, height=200, image_url=f"image/{id}"),
    "django-thumbor": generate_url(f"image/{id}", width=300, height=200),
    "django-thumbor, tag, media": engines["django"].from_string(tag).render(),
    "django-thumbor, fit-in": generate_url("s3://photos/a%20b.jpg", width=300, height=300, fit_in=True),
    "imgproxy, fill": str(imgproxy(id, resizing_type="fill", width=300, height=200)),
    "imgproxy, fit": str(imgproxy("s3://photos/a b.jpg", "q:60", resizing_type="fit", width=300, height=300, extension="webp")),
    "imgproxy, auto": str(imgproxy(id, width=300, height=200)),
}))
`

test('URLs of the Python packages libthumbor, django-thumbor and imgproxy are served', async (t) => {
  const { node, put } = await startSignedNode(t, {
    DIALECTS: 'thumbor=/thumbor imgproxy=/imgproxy',
    THUMBOR_KEYS: THUMBOR_KEY,
    THUMBOR_BASE: 'image/',
    IMGPROXY_KEYS: `${IMGPROXY.key}:${IMGPROXY.salt}`,
    IMGPROXY_BASE: 'image/',
  })
  const id = await uploadFixture(node.url, 'mountains.jpg')
  await put('a b.jpg', await fixture('mountains.jpg'))
  const output = await runQuietly(await ensureDjango(), ['-c', PROGRAM, node.url, id], process.env)
  const { 'imgproxy, auto': auto = '', ...urls } = z.record(z.string(), z.string()).parse(JSON.parse(output))
  assert.deepEqual(await picturesAt(urls), {
    libthumbor: 'jpeg 300x200',
    'django-thumbor': 'jpeg 300x200',
    'django-thumbor, tag, media': 'jpeg 300x200',
    'django-thumbor, fit-in': 'jpeg 300x225',
    'imgproxy, fill': 'jpeg 300x200',
    'imgproxy, fit': 'webp 300x225',
  })
  const refused = await ask(auto)
  assert.deepEqual([refused.status, refused.body.toString().includes('auto')], [400, true], refused.body.toString())
})

test('URLs in the forms of ruby-thumbor, phumbor, imgproxy.rb and imgproxy-rails are served', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  pages.set('/a.jpg', { body: await fixture('mountains.jpg') })
  const node = await startNodeFor(t, {
    env: {
      ...env,
      DIALECTS: 'thumbor=/thumbor imgproxy=/imgproxy',
      THUMBOR_KEYS: THUMBOR_KEY,
      THUMBOR_BASE: 'image/',
      IMGPROXY_KEYS: `${IMGPROXY.key}:${IMGPROXY.salt}`,
    },
  })
  const id = await uploadFixture(node.url, 'mountains.jpg')
  const original = `${origin}/a.jpg`
  const encodedParts = original.split('/').map(encodeURIComponent).join('/')
  const base64 = Buffer.from(original)
    .toString('base64url')
    .match(/.{1,16}/g)
  const urls = {
    'ruby-thumbor': thumborUrl(`300x200/smart/filters:quality(60):format(webp)/image/${id}`),
    'phumbor, every part of the URL encoded': thumborUrl(`fit-in/300x300/filters:no_upscale()/${encodedParts}`),
    'phumbor, the whole URL encoded': thumborUrl(`300x200/${encodeURIComponent(original)}`),
    'imgproxy.rb': imgproxyUrl(`rs:fill:300:200/sh:0.5/plain/${original}@webp`),
    'imgproxy.rb, base64 in parts': imgproxyUrl(`rs:fit:300:300/${base64?.join('/')}.png`),
    'imgproxy-rails, resize_to_limit': imgproxyUrl(`w:300/h:300/q:60/plain/${original}`),
  }
  const pictures = await picturesAt(
    Object.fromEntries(Object.entries(urls).map(([name, path]) => [name, `${node.url}${path}`])),
  )
  assert.deepEqual(pictures, {
    'ruby-thumbor': 'webp 300x200',
    'phumbor, every part of the URL encoded': 'jpeg 300x225',
    'phumbor, the whole URL encoded': 'jpeg 300x200',
    'imgproxy.rb': 'webp 300x200',
    'imgproxy.rb, base64 in parts': 'png 300x225',
    'imgproxy-rails, resize_to_limit': 'jpeg 300x225',
  })
  const refused = {
    'ruby-thumbor, trim': thumborUrl(`trim/300x200/image/${id}`),
    'ruby-thumbor, crop': thumborUrl(`10x20:30x40/300x200/image/${id}`),
    'phumbor, brightness': thumborUrl(`300x200/filters:brightness(42)/image/${id}`),
    'imgproxy-rails, resize_and_pad': imgproxyUrl(`w:300/h:300/pd:20:0/mw:300/plain/${original}`),
    'imgproxy-rails, trim': imgproxyUrl(`w:300/h:300/t:0/plain/${original}`),
  }
  for (const [name, path] of Object.entries(refused)) assert.equal((await ask(`${node.url}${path}`)).status, 400, name)
})

/** The format and the size of each picture. */
async function picturesAt(urls: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> {
  const pictures: Record<string, string> = {}
  for (const [name, url] of Object.entries(urls)) {
    const { status, body } = await ask(url.replaceAll('&amp;', '&'))
    assert.equal(status, 200, `${name}: ${url}: ${body.toString().slice(0, 300)}`)
    const { format, width, height } = await decoded(body)
    pictures[name] = `${format} ${width}x${height}`
  }
  return pictures
}

function thumborUrl(path: string): string {
  const signature = createHmac('sha1', THUMBOR_KEY).update(path).digest('base64')
  return `/thumbor/${signature.replaceAll('+', '-').replaceAll('/', '_')}/${path}`
}

function imgproxyUrl(path: string): string {
  const hmac = createHmac('sha256', Buffer.from(IMGPROXY.key, 'hex'))
  return `/imgproxy/${hmac.update(Buffer.from(IMGPROXY.salt, 'hex')).update(`/${path}`).digest('base64url')}/${path}`
}
