import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { runQuietly } from '../../tools/processes/process.ts'
import { ensureDjango } from '../../tools/servers/install-frameworks.ts'
import { assertBlocksAreIn } from '../support/doc-blocks.ts'
import { copyExample, serveExample } from '../support/framework-server.ts'
import { assertGallery } from '../support/gallery-story.ts'
import { startSignedNode } from '../support/signed-node.ts'

test('The Django example uploads, shows and deletes pictures, and shows those of a bucket', async (t) => {
  const { node, env: ofNode } = await startSignedNode(t)
  const python = await ensureDjango()
  const site = await copyExample('django', { 'gallery/sign.py': 'signing/sign.py' })
  const manage = join(site.folder, 'manage.py')
  const env = { ...process.env, ...ofNode, SECRET_KEY: 'for-tests-only', DEBUG: '1', PYTHONDONTWRITEBYTECODE: '1' }
  await runQuietly(python, [manage, 'makemigrations', 'gallery'], env)
  await runQuietly(python, [manage, 'migrate'], env)
  await serveExample(t, site, [python, manage, 'runserver', '--noreload', `127.0.0.1:${site.port}`], env)
  const unsigned = { ...env, DARKROOM_URL_KEY: '' }
  const program = 'from gallery.darkroom import image_url; print(image_url("an-id", "400w"))'
  assert.equal(
    await runQuietly(python, [manage, 'shell', '--no-imports', '-c', program], unsigned),
    `${node.url}/image/an-id/400w\n`,
  )
  await assertGallery(t, { pictures: `${site.url}/`, photos: `${site.url}/photos/`, node })
})

test('The page about Django shows only code of the example', async () => {
  await assertBlocksAreIn('docs/recipes/django.md', 'examples/django')
})
