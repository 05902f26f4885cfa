// Installs what package-lock.json asks for and node_modules lacks, then gets out of the way.
//
// npm runs it before `start`, `test` and the like (with --dev where the tools of development are needed), so that each
// works alone on a fresh clone. It comes before the dependencies, and so before the Node that they bring: plain
// JavaScript, nothing but Node's own modules. It parses on Node 16 and 18 too, so that it can refuse them. With everything in
// place it only reads and says nothing.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const LOCK = join(ROOT, '.install.lock')
const LOCKED_NODE = join(ROOT, 'node_modules/.bin/node')
const LOCKED_NODE_PACKAGE = `node-linux-${process.arch}`
/** The oldest Node that the packages can be installed with: sharp's scripts end in stack traces on an older one. */
const OLDEST_INSTALLER = 20
/** The oldest Node that runs the service: it has `await using`, and runs TypeScript as it is. */
const OLDEST_NODE = 24

const needsDev = process.argv.includes('--dev')

/** What a person can put right: told in one line, without a stack. */
class InstallError extends Error {
  exitCode = 1
}

await main().catch((error) => {
  if (!(error instanceof InstallError)) throw error
  say(error.message)
  process.exitCode = error.exitCode
})

async function main() {
  assertMayInstall()
  if (process.argv.includes('--check')) return printMissing()
  if (firstMissing() !== undefined) {
    await acquireLock()
    try {
      // Whoever held the lock before us may have installed everything.
      const missing = firstMissing()
      if (missing !== undefined) await install(missing)
    } finally {
      rmSync(LOCK, { force: true })
    }
  }
  linkLockedNode()
  assertNodeIsNewEnough()
}

/** For the doctor: prints the first package that is missing, and installs nothing. */
function printMissing() {
  const missing = firstMissing() ?? (isLinkMissing() ? 'node_modules/.bin/node' : undefined)
  if (missing === undefined) return
  process.stdout.write(`${missing}\n`)
  process.exitCode = 1
}

/** The first package that is missing, or undefined. npm says what it has installed, in a file that it writes last. */
function firstMissing() {
  const installed = packagesOf('node_modules/.package-lock.json')
  if (installed === undefined) return 'node_modules'
  for (const [path, entry] of Object.entries(packagesOf('package-lock.json'))) {
    if (path === '' || (entry.dev && !needsDev) || installed[path]?.version === entry.version) continue
    if (entry.optional && installed[path] === undefined && !isForThisMachine(entry)) continue
    return `${path.replace(/^.*node_modules\//, '')} ${entry.version}`
  }
  return undefined
}

/** By their paths below the root; undefined if npm has not written the file. */
function packagesOf(lockfile) {
  const path = join(ROOT, lockfile)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : undefined
}

/** Optional packages that name no system come only with one that does: npm decides about them. */
function isForThisMachine({ os, cpu, libc }) {
  if (os === undefined && cpu === undefined) return false
  return allows(os, process.platform) && allows(cpu, process.arch) && (libc === undefined || allows(libc, ownLibc()))
}

/** npm's rule for `os`, `cpu` and `libc`: a word or a list of words, a leading `!` forbids. */
function allows(words, value) {
  const list = [words ?? []].flat()
  const wanted = list.filter((word) => !word.startsWith('!'))
  return !list.includes(`!${value}`) && (wanted.length === 0 || wanted.includes(value))
}

/** Takes some milliseconds, so it is asked only for a package that is missing. */
function ownLibc() {
  if (process.platform !== 'linux') return undefined
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}

/**
 * Two at once (`npm start` beside `npm test`) would delete each other's files: the second one waits. The lock is a
 * symbolic link to nowhere whose target is the holder's process id, because that is made in one step, content and all.
 */
async function acquireLock() {
  for (let waiting = false; ; waiting = true) {
    try {
      symlinkSync(String(process.pid), LOCK)
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw new InstallError(`cannot write into ${ROOT}: ${error.message}`)
    }
    const holder = lockHolder()
    if (holder === undefined) continue
    if (!isAlive(holder)) {
      rmSync(LOCK, { force: true })
      continue
    }
    if (!waiting) say(`waiting for process ${holder} to install (if it does no such thing, delete ${LOCK})`)
    await sleep(100)
  }
}

/** The process id in the lock; undefined when the lock has just gone. */
function lockHolder() {
  try {
    return Number(readlinkSync(LOCK))
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

function isAlive(pid) {
  // Our own id in somebody else's lock: it was left by a container that was killed.
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process is alive all the same.
    return error.code === 'EPERM'
  }
}

async function install(missing) {
  say(`installing the locked dependencies (${missing} is missing or another version)`)
  const omitsDev = process.env.NODE_ENV === 'production' && !needsDev
  // No package needs its script, and lefthook's would install git hooks for a user who only starts a node.
  const args = ['ci', '--ignore-scripts', '--loglevel=error', omitsDev ? '--omit=dev' : '--include=dev']
  // npm's own output goes to stderr, so that what the script itself prints can be piped on.
  const npm = spawn('npm', args, { cwd: ROOT, stdio: ['ignore', 2, 2] })
  // Ctrl-C reaches npm by itself. We wait until npm has ended, so that the lock is held as long as anybody writes.
  let interrupted = false
  process.on('SIGINT', () => {
    interrupted = true
  })
  process.on('SIGTERM', () => {
    interrupted = true
    npm.kill('SIGTERM')
  })
  const code = await new Promise((resolve, reject) => {
    npm.on('error', (error) => reject(new InstallError(`npm does not start: ${error.message}`)))
    npm.on('exit', resolve)
  })
  if (interrupted) throw Object.assign(new InstallError('interrupted: run it again'), { exitCode: 130 })
  if (code !== 0) throw new InstallError(`npm ci failed (exit code ${code}): its message is above`)
  dropUnusableNode()
}

/** The locked Node is built for glibc. Where it can't run (musl) its link would stand before the machine's own Node. */
function dropUnusableNode() {
  if (!existsSync(LOCKED_NODE)) return
  const { status } = spawnSync(LOCKED_NODE, ['--version'], { stdio: 'ignore' })
  if (status !== 0) rmSync(LOCKED_NODE)
}

/** npm 10 removes the package of the other architecture together with the link, which has the same name for both. */
function linkLockedNode() {
  if (!isLinkMissing()) return
  try {
    symlinkSync(join('..', LOCKED_NODE_PACKAGE, 'bin/node'), LOCKED_NODE)
  } catch (error) {
    // Another process has made it, or the folder is read-only: then the machine's own Node may do.
    if (error.code !== 'EEXIST' && error.code !== 'EROFS' && error.code !== 'EACCES') throw error
  }
}

function isLinkMissing() {
  if (existsSync(LOCKED_NODE) || ownLibc() !== 'glibc') return false
  return existsSync(join(ROOT, 'node_modules', LOCKED_NODE_PACKAGE, 'bin/node'))
}

function assertMayInstall() {
  if (Number.parseInt(process.versions.node, 10) >= OLDEST_INSTALLER) return
  throw new InstallError(
    `Node ${OLDEST_INSTALLER} or newer is required, and this is ${process.versions.node}: install Node 24 from ` +
      'https://nodejs.org/en/download, or from your distribution if it has one (Debian 13 has Node 20)',
  )
}

function assertNodeIsNewEnough() {
  if (existsSync(LOCKED_NODE)) return
  if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) return
  throw new InstallError(
    `Node ${process.versions.node} is too old: Darkroom needs Node ${OLDEST_NODE} or newer. ` +
      `On Linux with glibc it brings its own; on this machine (${process.platform}, ${process.arch}) please install one.`,
  )
}

function say(text) {
  process.stderr.write(`darkroom: ${text}\n`)
}
