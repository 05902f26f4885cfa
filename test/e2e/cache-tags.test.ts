import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CACHE_TAG_HEADERS, cacheTagValue } from '../../src/domain/caching/cache-tags.ts'
import { type RawResponse, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { startSite } from '../../tools/servers/site.ts'

const DEFAULT = 'map "" $tag_headers { default "Cache-Tag"; }'

function tagsOf({ status, headers }: RawResponse): readonly unknown[] {
  return [status, ...CACHE_TAG_HEADERS.map((name) => headers[name.toLowerCase()])]
}

test('Misses, hits of nginx and of the node, HEAD and 304 have the same tag headers, those of CACHE_TAG_HEADERS', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  const photograph = await fixture('fig-alpha.png')
  pages.set('/a.png', { body: photograph, headers: { 'Cache-Control': 'max-age=100' } })
  for (const names of ['Cache-Tag', 'Surrogate-Key,xkey', CACHE_TAG_HEADERS.join(',')]) {
    const site = { [DEFAULT]: `map "" $tag_headers { default "${names}"; }` }
    const { url, node } = await startSite(t, { ...env, CACHE_TAG_HEADERS: names }, { site })
    const id = await uploadFixture(url, 'fig-alpha.png')
    const remote = `${origin}/a.png`
    for (const [path, original] of [
      [`/image/${id}/40w/x.webp`, { kind: 'image', id }],
      [`/image/${id}/40w`, { kind: 'image', id }],
      [`/image?url=${encodeURIComponent(remote)}&size=40w`, { kind: 'remote', url: remote }],
    ] as const) {
      const expected = CACHE_TAG_HEADERS.map((header) =>
        names.split(',').includes(header) ? cacheTagValue(header, original) : undefined,
      )
      const miss = await rawRequest(url, path)
      const hit = await rawRequest(url, path)
      const answers = [miss, hit, await rawRequest(url, path, { method: 'HEAD' }), await rawRequest(node.url, path)]
      for (const answer of answers) assert.deepEqual(tagsOf(answer), [200, ...expected], `${names}: ${path}`)
      const headers = { 'If-None-Match': String(hit.headers.etag) }
      assert.deepEqual(tagsOf(await rawRequest(url, path, { headers })), [304, ...expected], `${names}: ${path}`)
      if (original.kind === 'image') assert.equal(hit.headers['server-timing'], 'cache;desc="nginx"')
    }
  }
})
