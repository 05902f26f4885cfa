import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startGreeting } from '../../../../src/domain/access/start-greeting.ts'

const NODE = { url: 'http://127.0.0.1:8080', tokenPath: '/srv/data/upload-token' }

test('The curl line reads the token from its file, and the link to the page holds it in the fragment', () => {
  const lines = startGreeting({ ...NODE, token: 'a+b/c#d-0123456789' }).split('\n')
  assert.ok(
    lines.includes(
      `  curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' -H "Authorization: Bearer $(cat /srv/data/upload-token)" http://127.0.0.1:8080/images`,
    ),
  )
  const link = new URL(lines.find((line) => line.includes('#'))?.trim() ?? '')
  assert.equal(link.pathname, '/')
  assert.equal(new URLSearchParams(link.hash.slice(1)).get('token'), 'a+b/c#d-0123456789')
})

test('Without the token the greeting names its file only', () => {
  const text = startGreeting(NODE)
  assert.ok(!text.includes('#token'))
  assert.ok(text.includes('\n  http://127.0.0.1:8080/\n'))
  assert.ok(text.includes('$(cat /srv/data/upload-token)'))
})

test('A path that a shell would split or expand is quoted', () => {
  const text = startGreeting({ ...NODE, tokenPath: "/srv/it's $HOME/upload-token" })
  assert.ok(text.includes(`$(cat '/srv/it'\\''s $HOME/upload-token')`))
})
