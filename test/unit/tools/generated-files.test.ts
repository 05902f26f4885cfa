import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { generatedFiles } from '../../../tools/docs/generated-files.ts'
import { nginxConf } from '../../../tools/docs/nginx-conf.ts'
import { NGINX_VALUES } from '../../../tools/docs/nginx-values.ts'

for (const [file, content] of Object.entries(generatedFiles())) {
  test(`${file} is what \`npm run docs\` writes`, async () => {
    assert.equal(await readFile(join(import.meta.dirname, '../../..', file), 'utf8'), content)
  })
}

test('The generated configurations have no placeholder left, and the marks of their `# site` lines are aligned', () => {
  for (const text of [nginxConf('node'), nginxConf('front')]) {
    assert.doesNotMatch(text, /\{\{|\}\}/)
    const marked = text.split('\n').filter((line) => line.includes(' # site'))
    assert.ok(marked.length > 20)
    for (const line of marked) assert.ok(line.indexOf(' # site') >= 61 && line.indexOf(' # site') <= 72, line)
  }
})

test('Every value of nginx-values.ts is used by a template', () => {
  const templates = [nginxConf('node'), nginxConf('front')].join('')
  for (const [name, value] of NGINX_VALUES) {
    const [line = ''] = value.split('\n')
    assert.ok(templates.includes(line), name)
  }
})
