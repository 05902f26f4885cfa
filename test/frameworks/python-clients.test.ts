import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { decoded } from '../../tools/pictures/picture.ts'
import { runQuietly } from '../../tools/processes/process.ts'
import { ask } from '../../tools/requests/ask.ts'
import { fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { ensureDjango } from '../../tools/servers/install-servers.ts'
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
  const answers: Record<string, string> = {}
  for (const [name, url] of Object.entries(urls)) {
    const { status, body } = await ask(url.replaceAll('&amp;', '&'))
    assert.equal(status, 200, `${url}: ${body.toString().slice(0, 300)}`)
    const { format, width, height } = await decoded(body)
    answers[name] = `${format} ${width}x${height}`
  }
  assert.deepEqual(answers, {
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
