import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { runQuietly } from '../../tools/processes/process.ts'
import { ensureRails } from '../../tools/servers/install-frameworks.ts'
import { assertBlocksAreIn } from '../support/doc-blocks.ts'
import { copyExample, serveExample } from '../support/framework-server.ts'
import { assertGallery } from '../support/gallery-story.ts'
import { startSignedNode } from '../support/signed-node.ts'

const SKELETON = new URL('rails-app/', import.meta.url)

test('The Rails example uploads, shows and deletes pictures, and shows those of a bucket', async (t) => {
  const { node, env: ofNode } = await startSignedNode(t)
  const { ruby, puma } = await ensureRails()
  const site = await copyExample('rails', { 'vendor/darkroom/sign.rb': 'signing/sign.rb' }, SKELETON)
  const env = { ...process.env, ...ofNode, RAILS_ENV: 'production', SECRET_KEY_BASE: 'for-tests-only' }
  const rails = join(site.folder, 'bin/rails')
  await runQuietly(ruby, ['-C', site.folder, rails, 'active_storage:install', 'db:migrate'], env)
  await serveExample(t, { ...site, url: `${site.url}/pictures` }, [puma, '-b', `tcp://127.0.0.1:${site.port}`], env)
  const unsigned = { ...env, DARKROOM_URL_KEY: '' }
  const program = 'print DarkroomClient.image_url("an-id", "400w")'
  const url = await runQuietly(ruby, ['-C', site.folder, rails, 'runner', program], unsigned)
  assert.equal(url, `${node.url}/image/an-id/400w`)
  await assertGallery(t, { pictures: `${site.url}/pictures`, photos: `${site.url}/photos`, node })
})

test('The page about Rails shows only code of the example', async () => {
  await assertBlocksAreIn('docs/recipes/rails.md', 'examples/rails')
})
