import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { runQuietly } from '../../tools/processes/process.ts'
import { ensureLaravel } from '../../tools/servers/install-frameworks.ts'
import { assertBlocksAreIn } from '../support/doc-blocks.ts'
import { copyExample, serveExample } from '../support/framework-server.ts'
import { assertGallery } from '../support/gallery-story.ts'
import { startSignedNode } from '../support/signed-node.ts'

const SKELETON = new URL('laravel-app/', import.meta.url)

test('The Laravel example uploads, shows and deletes pictures, and shows those of a bucket', async (t) => {
  const { node, env: ofNode } = await startSignedNode(t)
  const php = await ensureLaravel()
  const site = await copyExample('laravel', { 'app/sign.php': 'signing/sign.php' }, SKELETON)
  for (const folder of ['bootstrap/cache', 'storage/framework/sessions', 'storage/framework/views']) {
    await mkdir(join(site.folder, folder), { recursive: true })
  }
  await writeFile(join(site.folder, 'database/database.sqlite'), '')
  const env = {
    ...process.env,
    ...ofNode,
    APP_URL: site.url,
    APP_KEY: `base64:${Buffer.alloc(32, 'for tests only').toString('base64')}`,
  }
  await runQuietly(php, [join(site.folder, 'artisan'), 'migrate', '--force'], env)
  const publicFolder = join(site.folder, 'public')
  const serve = [php, '-S', `127.0.0.1:${site.port}`, '-t', publicFolder, join(publicFolder, 'index.php')]
  await serveExample(t, site, serve, env)
  const unsigned = { ...env, DARKROOM_URL_KEY: '', FOLDER: site.folder }
  const program = `
    require getenv('FOLDER') . '/vendor/autoload.php';
    $app = require getenv('FOLDER') . '/bootstrap/app.php';
    $app->make(Illuminate\\Contracts\\Console\\Kernel::class)->bootstrap();
    echo App\\Darkroom::imageUrl('an-id', '400w');`
  assert.equal(await runQuietly(php, ['-r', program], unsigned), `${node.url}/image/an-id/400w`)
  await assertGallery(t, { pictures: `${site.url}/`, photos: `${site.url}/photos`, node })
})

test('The page about Laravel shows only code of the example', async () => {
  await assertBlocksAreIn('docs/recipes/laravel.md', 'examples/laravel')
})
