import assert from 'node:assert/strict'
import { access, readFile, writeFile } from 'node:fs/promises'
import { after, suite, test } from 'node:test'
import { createScope } from '../../tools/processes/scope.ts'
import { type Observed, slug, troubleshootingPage, uniform } from '../support/troubleshooting/page.ts'
import { createServers } from '../support/troubleshooting/servers.ts'
import { NGINX_AND_CACHE } from './mistakes/nginx-and-cache.ts'
import { OPERATING } from './mistakes/operating.ts'
import { SIGNED_URLS } from './mistakes/signed-urls.ts'
import { SOURCES } from './mistakes/sources.ts'
import { STARTING } from './mistakes/starting.ts'
import { STORE_MISTAKES } from './mistakes/store.ts'
import { UPLOADING } from './mistakes/uploading.ts'
import { USING_IMAGES } from './mistakes/using-images.ts'

const PAGE = new URL('../../docs/troubleshooting.md', import.meta.url)
const MISTAKES = [
  ...USING_IMAGES,
  ...UPLOADING,
  ...SIGNED_URLS,
  ...SOURCES,
  ...STARTING,
  ...NGINX_AND_CACHE,
  ...STORE_MISTAKES,
  ...OPERATING,
]

const scope = createScope()
after(() => scope.close())
const servers = createServers(scope)
const observed = new Map<string, Observed>()

suite('Common mistakes and their fixes', { concurrency: 3 }, () => {
  for (const mistake of MISTAKES) {
    test(mistake.title, async (t) => {
      const { wrong, right } = await mistake.make(t, servers)
      const texts = [wrong, right].map(({ done, answer }) => ({ done: uniform(done), answer: uniform(answer) }))
      const [shownWrong = wrong, shownRight = right] = texts
      assert.match(shownWrong.answer, mistake.says)
      assert.doesNotMatch(shownWrong.answer, mistake.works)
      assert.match(shownRight.answer, mistake.works)
      observed.set(mistake.title, { mistake, wrong: shownWrong, right: shownRight })
    })
  }
})

test('docs/troubleshooting.md contains what was observed; "npm run troubleshooting" writes it', async () => {
  assert.equal(observed.size, MISTAKES.length, 'a mistake was not as expected, or two have the same title')
  assert.equal(new Set(MISTAKES.map(({ title }) => slug(title))).size, MISTAKES.length)
  const page = troubleshootingPage(MISTAKES.flatMap(({ title }) => observed.get(title) ?? []))
  for (const [, target = ''] of page.matchAll(/\]\((?<target>[^)#]+)/g)) await access(new URL(target, PAGE))
  if (process.env['TROUBLESHOOTING_WRITE'] === 'true') await writeFile(PAGE, page)
  assert.equal(await readFile(PAGE, 'utf8'), page)
})
