import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cachedFiles } from '../../tools/requests/ask.ts'
import { rawRequest } from '../../tools/requests/raw-request.ts'
import { backgroundIsDone } from '../../tools/servers/darkroom.ts'
import { startWholeSite, type WholeSite } from '../support/whole-site.ts'

/** All that a request may cost beyond a look at it. The node lists deletions, and renews its entry, without any request. */
async function costs({ node, proxy, remote }: WholeSite) {
  return {
    store: proxy.requests.filter((request) => !/list-type=2|\/nodes\//.test(request)).length,
    remote: remote.requests.length,
    fetches: await node.metric('darkroom_original_fetch_duration_seconds_count'),
    renders: await node.metric('darkroom_render_duration_seconds_count'),
    files: await cachedFiles(node.cacheDir),
  }
}

test('A size that is not on the list costs no call of a store or host, no render and no file', async (t) => {
  const site = await startWholeSite(t, { SIZE_POLICY: 'list', SIZES: '40w' })
  const { origins, id, pictures, remoteUrl } = site
  const paths = [
    `/image/${id}/41w/x.jpg`,
    `/image/${id}/8192w8192h,fill,up/x.avif`,
    `/image/${'cd'.repeat(20)}/41w`,
    '/s3/photos/mine/a%20b.jpg/-/41w/x.jpg',
    '/s3/photos/mine/none.jpg/-/41w/x.jpg',
    `/image?url=${encodeURIComponent(remoteUrl)}&size=41w&format=jpg`,
    `/v1/width/41/format/jpg/${remoteUrl}`,
    `/thumbor/unsafe/41x0/${remoteUrl}`,
    `/imgproxy/insecure/w:41/plain/${remoteUrl}`,
    `/ipx/w_41/${remoteUrl}`,
  ]
  await backgroundIsDone(site.node)
  const before = await costs(site)
  for (const origin of Object.values(origins)) {
    for (const path of paths) {
      const { status } = await rawRequest(origin, path)
      assert.equal(status, path.startsWith('/v1/') ? 400 : 403, path)
    }
  }
  assert.deepEqual(await costs(site), before)
  // What is on the list does cost, so this can tell the difference.
  assert.equal((await rawRequest(origins.nginx, pictures['object'] ?? '')).status, 200)
  const after = await costs(site)
  assert.ok(after.store > before.store && after.renders > before.renders && after.files.length > before.files.length)
})
