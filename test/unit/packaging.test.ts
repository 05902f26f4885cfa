import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { docCommands } from '../../tools/docs/doc-commands.ts'

const read = (name: string) => readFile(new URL(`../../${name}`, import.meta.url), 'utf8')

const Service = z.object({
  read_only: z.literal(true),
  tmpfs: z.array(z.string().regex(/size=\d+m/)),
  cap_drop: z.tuple([z.literal('ALL')]),
  security_opt: z.array(z.string()).refine((options) => options.includes('no-new-privileges:true')),
  pids_limit: z.number().max(4096),
  mem_limit: z.string().regex(/^\$\{\w+:-\d+g\}$/),
  privileged: z.never().optional(),
  cap_add: z.never().optional(),
  user: z.never().optional(),
})

test('Containers of ours write nowhere but where they must, can gain no rights, and have limits', async () => {
  const file = z
    .object({ services: z.object({ node: Service, front: Service }) })
    .safeParse(parse(await read('docker-compose.yml'), { merge: true }))
  assert.ok(file.success, file.error?.message)
})

test('Every file that docker-compose.yml mounts exists', async () => {
  const text = await read('docker-compose.yml')
  const files = Array.from(text.matchAll(/^ +- \.\/(\S+?):\S+:ro$/gm), ([, file = '']) => file)
  assert.ok(files.includes('packaging/grafana/darkroom.json'))
  for (const file of files) assert.notEqual(await read(file), '')
})

test('The image runs as a user without rights, whose files of the service are not its own', async () => {
  const lines = (await read('Dockerfile')).split('\n')
  const at = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line))
  assert.ok(at(/^USER node$/) > at(/^COPY \. \.$/))
  assert.equal(lines.filter((line) => line.startsWith('USER ')).length, 1)
  assert.equal(
    lines.some((line) => /^COPY .*--chown|chown.* \/app/.test(line)),
    false,
  )
  // No secret is baked in, and nothing of a package runs while the image is made.
  assert.equal(
    lines.some((line) => /^\s*(?:ARG|ENV).*(?:TOKEN|SECRET|KEYS?)=/.test(line)),
    false,
  )
  assert.match(lines.join('\n'), /npm ci --omit=dev --ignore-scripts/)
})

test('The installation leaves the distribution’s nginx.conf as it is, and links the current version from the beginning', async () => {
  const commands = (await docCommands('docs/deploy.md', 'A node on Debian')).join('')
  assert.doesNotMatch(commands, /\/etc\/nginx\/nginx\.conf/)
  const [configuration = ''] = /\/etc\/nginx\/\S+/.exec(commands) ?? []
  const dropIn = await read('packaging/systemd/nginx.service.d/darkroom.conf')
  const started = dropIn.split('\n').filter((line) => /^Exec\w+=./.test(line))
  assert.equal(started.length, 3)
  for (const line of started) assert.ok(line.includes(` -c ${configuration} `), line)
  for (const text of [commands, (await docCommands('docs/deploy.md', 'Upgrading')).join('')]) {
    assert.match(text, /^ln --symbolic .* \/opt\/darkroom-[\d.]+ \/opt\/darkroom$/m)
  }
})

test('A node is started alike by hand, by systemd, in the image and in tests', async () => {
  const started = {
    'package.json': / node (?<options>.*)src\/main\.ts/,
    'packaging/systemd/darkroom.service': /^ExecStart=\S+\/node (?<options>.*)src\/main\.ts$/m,
    'packaging/docker/start.sh': /^options=\((?<options>.*)\)$/m,
    'tools/servers/darkroom.ts': /const NODE_OPTIONS = \[(?<options>[^\]]*)\] as const/,
  } as const
  for (const [file, pattern] of Object.entries(started)) {
    const text = await read(file)
    const options = pattern.exec(text)?.groups?.['options']?.replaceAll(/[',]/g, '').trim()
    assert.equal(options, '--max-semi-space-size=4 --heap-growing-percent=50', file)
  }
  for (const file of ['package.json', 'packaging/systemd/darkroom.service', 'Dockerfile']) {
    assert.match(await read(file), /MALLOC_ARENA_MAX=2\b[\s\S]*UV_THREADPOOL_SIZE=16\b/, file)
    assert.match(await read(file), /MALLOC_MMAP_THRESHOLD_=65536\b[\s\S]*MALLOC_TRIM_THRESHOLD_=8388608\b/, file)
  }
})

test('Every line that packaging/docker/start.sh replaces is a `# site` line of the configuration', async () => {
  const script = await read('packaging/docker/start.sh')
  const body = script.split('\nwrite_conf() {\n')[1]?.split('\n}\n')[0] ?? ''
  const replaced = [...body.matchAll(/\bsite '(?<start>[^']+)'/g)].map(({ groups }) => groups?.['start'] ?? '')
  assert.ok(replaced.length >= 12)
  const lines = (await read('nginx.conf')).split('\n').filter((line) => line.includes('# site'))
  for (const start of replaced)
    assert.ok(
      lines.some((line) => line.trim().startsWith(start)),
      start,
    )
})
