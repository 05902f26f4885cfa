import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'

const ROOT = join(import.meta.dirname, '../..')
/** Commands that do one thing and have no options. */
const WITHOUT_OPTIONS = new Set(['docs', 'check:nginx', 'check:subject', 'coverage'])

const { scripts } = z
  .object({ scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')))
/** Every command of this repository that a script of npm runs without further arguments, and the one without a script. */
const COMMANDS = Object.entries(scripts).flatMap(([name, command]) => {
  const [, path] = /^exec (?:node )?((?:scripts|tools|bench)\/[\w./-]+)$/.exec(command) ?? []
  return path === undefined || path.endsWith('.js') || WITHOUT_OPTIONS.has(name) ? [] : [path]
})

test('There are commands to look at', () => assert.ok(COMMANDS.length >= 10, COMMANDS.join(' ')))

for (const path of [...COMMANDS, 'scripts/sign-url']) {
  test(`${path} --help prints how to use it, and does nothing else`, () => {
    const [program, args] = path.endsWith('.ts') ? [process.execPath, [join(ROOT, path)]] : [join(ROOT, path), []]
    const { status, stdout, stderr } = spawnSync(program, [...args, '--help'], { encoding: 'utf8' })
    assert.deepEqual([status, stderr], [0, ''])
    assert.match(stdout, /^Usage: .*\n\n/)
    assert.match(stdout, /^ {2}--help {2,}print this help$/m)
    for (const line of stdout.split('\n')) assert.ok(line.length <= 120, line)
  })
}
