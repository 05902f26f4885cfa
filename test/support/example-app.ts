import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { freePort } from '../../tools/processes/free-port.ts'
import { createServerFolder, runQuietly, startServer } from '../../tools/processes/process.ts'
import type { Scope } from '../../tools/processes/scope.ts'
import { stopAfter } from '../../tools/servers/site.ts'

const EXAMPLES = resolve(import.meta.dirname, '../../examples')
const MADE = new Set(['node_modules', '.next', '.nuxt', '.output', '.astro', 'dist'])
const READY_TIMEOUT_MS = 180_000

/** No framework reports to its vendor from a test, or asks for a newer version of itself. */
const QUIET = {
  NEXT_TELEMETRY_DISABLED: '1',
  NUXT_TELEMETRY_DISABLED: '1',
  ASTRO_TELEMETRY_DISABLED: '1',
  CI: 'true',
} as const

export interface ExampleApp {
  /** A copy of the example, with its packages. */
  readonly folder: string
  /** Runs a script of the app's `package.json`. @throws Error with its error output. */
  run(script: string, env?: Readonly<Record<string, string>>): Promise<void>
  /** Starts a program of the app, and returns its address when it answers. */
  start(command: readonly string[], env?: Readonly<Record<string, string>>): Promise<string>
}

/** An app of `examples/`, copied out of the work tree and installed by npm as its lock file says, until the test ends. */
export async function installExample(t: Scope, name: string): Promise<ExampleApp> {
  const folder = await mkdtemp(join(tmpdir(), `darkroom-example-${name}-`))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const example = join(EXAMPLES, name)
  // What a developer has built there stays there.
  const filter = (path: string) => !MADE.has(relative(example, path))
  await cp(example, folder, { recursive: true, filter })
  const npm = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    runQuietly('npm', ['--prefix', folder, ...args], ownEnvironment(env))
  await npm(['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'])
  return {
    folder,
    async run(script, env) {
      await npm(['run', script], env)
    },
    async start(command, env) {
      const port = await freePort()
      const url = `http://127.0.0.1:${port}`
      const server = await startServer({
        name: `example-${name}`,
        command: 'sh',
        args: ['-c', 'cd "$0" && PATH="$PWD/node_modules/.bin:$PATH" exec "$@"', folder, ...command],
        folder: await createServerFolder(`example-${name}`),
        env: { ...QUIET, ...env, PORT: String(port), HOST: '127.0.0.1', HOSTNAME: '127.0.0.1' },
        isReady: async () => (await fetch(url)).status < 500,
        readyTimeoutMs: READY_TIMEOUT_MS,
      })
      stopAfter(t, server.stop)
      return url
    },
  }
}

/** Without what npm sets for the scripts of this repository: an app would take it for its own. */
function ownEnvironment(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^npm_(?:package|lifecycle|command)/.test(name))
  return { ...Object.fromEntries(inherited), ...QUIET, ...env }
}

/** Asserts that no file below a folder contains one of the secrets: what a browser can load has no key and no token. */
export async function assertNoSecrets(folder: string, secrets: readonly string[]): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  assert.notEqual(files.length, 0)
  for (const { parentPath, name } of files) {
    const text = await readFile(join(parentPath, name), 'utf8')
    assert.ok(!secrets.some((secret) => text.includes(secret)), `${join(parentPath, name)} contains a secret`)
  }
}
