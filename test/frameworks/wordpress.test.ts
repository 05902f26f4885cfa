import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { filesBelow } from '../../tools/requests/ask.ts'
import { launchBrowser } from '../../tools/servers/browser.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { assertBlocksAreIn } from '../support/doc-blocks.ts'
import { assertImageFits, loadedImages } from '../support/framework-page.ts'
import { startSignedNode } from '../support/signed-node.ts'
import { createWordpressSite } from '../support/wordpress-site.ts'

test('The WordPress plugin serves old and new images of the media library, and WordPress makes no thumbnails', async (t) => {
  const site = await createWordpressSite(t)
  const { node, env, put } = await startSignedNode(t, {
    REMOTE_HOSTS: `127.0.0.1:${site.port}`,
    REMOTE_ALLOW_ADDRESSES: '127.0.0.1',
  })
  const uploads = join(site.folder, 'wp-content/uploads')

  // A post of before the plugin: WordPress has made thumbnails.
  await writeFile(join(site.folder, 'Gipfel übers Tal.jpg'), await fixture('mountains.jpg'))
  await site.php(`
    require_once ABSPATH . 'wp-admin/includes/admin.php';
    $id = media_handle_sideload(['name' => 'Gipfel übers Tal.jpg', 'tmp_name' => ABSPATH . 'Gipfel übers Tal.jpg'], 0);
    if (is_wp_error($id)) die($id->get_error_message());
    $content = '';
    foreach (['medium', 'thumbnail', 'full'] as $size) {
        [$src, $width, $height] = wp_get_attachment_image_src($id, $size);
        $content .= "<p><img class='wp-image-$id' src='$src' width='$width' height='$height' alt='$size'></p>";
    }
    $content = str_replace("'", '"', $content);
    wp_insert_post(['post_title' => 'Old', 'post_name' => 'old', 'post_content' => $content, 'post_status' => 'publish']);`)
  const before = await filesBelow(uploads)
  assert.ok(before.length > 3, before.join(' '))
  await site.php(`
    require_once ABSPATH . 'wp-admin/includes/plugin.php';
    activate_plugin('darkroom/darkroom.php');`)

  const settings = { DARKROOM_URL: node.url, DARKROOM_URL_KEY: env.DARKROOM_URL_KEY ?? '' }
  await site.serve(settings)
  const browser = await launchBrowser(t)
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  const old = await imagesOf(page, `${site.url}/?name=old`)
  assert.deepEqual(
    old.map(({ alt, width, height }) => `${alt} ${width}x${height}`),
    ['medium 300x225', 'thumbnail 150x150', 'full 1200x900'],
  )
  for (const image of old) {
    for (const url of await assertImageFits(image)) assert.ok(url.startsWith(`${node.url}/image?url=`), url)
  }

  // The form of the media library, and a post with that image as it is featured and in the text.
  await page.goto(`${site.url}/wp-login.php`)
  await page.locator('#user_login').fill('admin')
  await page.locator('#user_pass').fill('admin')
  await page.locator('#wp-submit').click()
  await page.waitForURL('**/wp-admin/**')
  await page.goto(`${site.url}/wp-admin/media-new.php?browser-uploader`)
  const buffer = await fixture('mountains-orientation-6.jpg')
  await page.locator('#async-upload').setInputFiles({ name: 'new.jpg', mimeType: 'image/jpeg', buffer })
  await page.locator('#html-upload').click()
  await page.waitForURL('**/upload.php')
  const added = (await filesBelow(uploads)).filter((file) => !before.includes(file))
  // WordPress itself turns the picture; it keeps the original beside it.
  assert.deepEqual(
    added.map((file) => file.split('/').at(-1)),
    ['new-rotated.jpg', 'new.jpg'],
  )
  await site.php(
    `
    $id = get_posts(['post_type' => 'attachment', 'numberposts' => 1, 'orderby' => 'ID'])[0]->ID;
    $src = wp_get_attachment_url($id);
    $content = "<!-- wp:image {\\"id\\":$id,\\"sizeSlug\\":\\"large\\"} --><figure class=\\"wp-block-image size-large\\">"
        . "<img src=\\"$src\\" alt=\\"text\\" class=\\"wp-image-$id\\"/></figure><!-- /wp:image -->";
    $post = wp_insert_post(['post_title' => 'New', 'post_name' => 'new', 'post_content' => $content, 'post_status' => 'publish']);
    update_post_meta($id, '_wp_attachment_image_alt', 'featured');
    set_post_thumbnail($post, $id);`,
    settings,
  )
  const images = await imagesOf(page, `${site.url}/?name=new`)
  assert.deepEqual(
    images.map(({ alt, width, height }) => `${alt} ${width}x${height}`),
    ['featured 1200x900', 'text 1200x900'],
  )
  for (const image of images) {
    for (const url of await assertImageFits(image)) assert.ok(url.startsWith(`${node.url}/image?url=`), url)
  }

  // The media library.
  await page.goto(`${site.url}/wp-admin/upload.php?mode=list`)
  const library = (await loadedImages(page)).filter(({ src }) => src.startsWith(node.url))
  assert.equal(library.length, 2)

  // The uploads folder in a bucket.
  const [file = ''] = added
  await put(`uploads/${file}`, buffer)
  const inBucket = await site.php(
    `$id = get_posts(['post_type' => 'attachment', 'numberposts' => 1, 'orderby' => 'ID'])[0]->ID;
    foreach (['medium', 'thumbnail'] as $size) echo wp_get_attachment_image($id, $size);`,
    { ...settings, DARKROOM_BUCKET: 'photos', DARKROOM_PREFIX: 'uploads/' },
  )
  await page.setContent(inBucket)
  const [medium, thumbnail] = await loadedImages(page)
  assert.ok(medium && thumbnail)
  for (const image of [medium, thumbnail]) {
    for (const url of await assertImageFits(image))
      assert.ok(url.startsWith(`${node.url}/s3/photos/uploads/${file}/-/`), url)
  }
  const unsigned = await site.php(`echo Darkroom\\image_url('a b.jpg', '400w');`, { DARKROOM_URL: node.url })
  const original = encodeURIComponent(`${site.url}/wp-content/uploads/a%20b.jpg`)
  assert.equal(unsigned, `${node.url}/image?url=${original}&size=400w`)
  assert.doesNotMatch(await readFile(join(site.folder, 'wordpress.log'), 'utf8'), /plugins\/darkroom/)
})

test('The page about WordPress shows only code of the example', async () => {
  await assertBlocksAreIn('docs/recipes/wordpress.md', 'examples/wordpress')
})

async function imagesOf(page: Page, url: string) {
  await page.goto(url)
  return await loadedImages(page)
}
