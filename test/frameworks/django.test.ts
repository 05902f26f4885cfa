import { join } from 'node:path'
import { test } from 'node:test'
import { runQuietly } from '../../tools/processes/process.ts'
import { ensureDjango } from '../../tools/servers/install-servers.ts'
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
  await assertGallery(t, { pictures: `${site.url}/`, photos: `${site.url}/photos/`, node: node.url })
})

test('The page about Django shows only code of the example', async () => {
  await assertBlocksAreIn('docs/recipes/django.md', 'examples/django')
})
