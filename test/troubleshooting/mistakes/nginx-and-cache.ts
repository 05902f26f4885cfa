import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../../tools/processes/free-port.ts'
import { runCommand } from '../../../tools/processes/process.ts'
import type { Scope } from '../../../tools/processes/scope.ts'
import { mountSmallDisk } from '../../../tools/processes/small-disk.ts'
import { TOKEN } from '../../../tools/requests/token.ts'
import { startDarkroom, uploadFixture } from '../../../tools/servers/darkroom.ts'
import { startNginxFor, startNodeFor, startSite, stopAfter, temporaryFolder } from '../../../tools/servers/site.ts'
import type { Mistake } from '../../support/troubleshooting/mistake.ts'
import { doctorSays, type Env, READY, readiness } from '../../support/troubleshooting/nodes.ts'
import { attempt } from '../../support/troubleshooting/requests.ts'

const section = 'nginx and the cache'
/** Of the nginx of the tests. */
const NGINX_USER = '--nginx-user=root'
const LOCAL = ['--local', '--nginx-user=www-data']

/** Settings of a node that may be started; everybody may enter its folder. */
async function settingsOf(t: Scope, more: Env = {}) {
  const folder = await temporaryFolder(t)
  await chmod(folder, 0o755)
  const CACHE_DIR = join(folder, 'cache')
  await mkdir(CACHE_DIR)
  return { STORE: `file:${folder}/data`, CACHE_DIR, PORT: String(await freePort()), UPLOAD_TOKENS: TOKEN, ...more }
}

const ACCEL = { ACCEL_PREFIX: '/_renditions/' } as const

export const NGINX_AND_CACHE: readonly Mistake[] = [
  {
    section,
    title: 'nginx looks for the files in another folder',
    says: /nginx does not send files of CACHE_DIR: it answered 404 for a file that exists/,
    fix: 'The folder of nginx is `CACHE_DIR` with `/renditions`. Reload nginx afterwards.',
    works: /^ok nginx files: /,
    async make(t) {
      const env = await settingsOf(t, ACCEL)
      const node = await startNodeFor(t, { env })
      const other = await startNginxFor(t, { port: node.port, cacheDir: await temporaryFolder(t) })
      const own = await startNginxFor(t, node)
      const ask = ({ origin }: { readonly origin: string }) =>
        doctorSays('nginx files', env, ['--url', origin, NGINX_USER])
      return { wrong: await ask(other), right: await ask(own) }
    },
  },
  {
    section,
    title: 'nginx sends files without checking signatures',
    says: /nginx sends files of the cache without checking signatures, although SIZE_POLICY=signed/,
    fix: 'nginx cannot verify a signature. With `$direct_hits` off, the node verifies it, and nginx sends the file then.',
    works: /^ok nginx files: /,
    async make(t) {
      const env = await settingsOf(t, { ...ACCEL, SIZE_POLICY: 'signed', URL_KEYS: 'a-key-for-signatures' })
      const node = await startNodeFor(t, { env })
      const ask = async (directHits: boolean) => {
        const { origin } = await startNginxFor(t, node, { directHits })
        return await doctorSays('nginx files', env, ['--url', origin, NGINX_USER])
      }
      return { wrong: await ask(true), right: await ask(false) }
    },
  },
  {
    section,
    title: 'ACCEL_PREFIX is set, but there is no nginx',
    says: /ACCEL_PREFIX is set, but requests do not come through nginx/,
    fix: 'Send requests to nginx with the `nginx.conf` of this version, or leave the setting out. Until then the node sends the files itself.',
    works: READY,
    async make(t) {
      const alone = await startNodeFor(t, { env: ACCEL })
      const path = async (url: string) => ({ path: `/image/${await uploadFixture(url, 'fig-alpha.png')}/40w.png` })
      await attempt(alone.url, await path(alone.url))
      const { url, node } = await startSite(t)
      await attempt(url, await path(url))
      return {
        wrong: { done: 'ACCEL_PREFIX=/_renditions/ npm start', answer: await readiness(alone) },
        right: { done: 'ACCEL_PREFIX=/_renditions/ npm start, behind nginx', answer: await readiness(node) },
      }
    },
  },
  {
    section,
    title: 'The user of nginx may not enter the cache folder',
    says: /The nginx workers \(www-data\) cannot enter \S+ \(mode 0700/,
    fix: 'Create the folder as in [production setup](../README.md#production-setup), and start the node with `umask 027`. Then the group of nginx may read.',
    works: /^ok cache permissions: /,
    async make(t) {
      const env = await settingsOf(t, ACCEL)
      await chmod(env.CACHE_DIR, 0o700)
      const wrong = await doctorSays('cache permissions', env, LOCAL)
      await runCommand('chgrp', ['--recursive', 'www-data', env.CACHE_DIR])
      await runCommand('chmod', ['--recursive', 'g+rX', env.CACHE_DIR])
      const right = await doctorSays('cache permissions', env, LOCAL)
      const commands = 'chgrp --recursive www-data /srv/cache\nchmod --recursive g+rX /srv/cache'
      return { wrong, right: { ...right, done: `${commands}\n${right.done}` } }
    },
  },
  {
    section,
    title: 'The node behind nginx is not running',
    says: /503 unavailable: The service is temporarily unavailable; try again in 2 seconds/,
    fix: 'This is the message of nginx. Start the node: `systemctl status darkroom` and `journalctl -u darkroom` show why it ended. nginx sends files of the cache in the meantime.',
    works: /^200 image\//,
    async make(t) {
      const env = await settingsOf(t, ACCEL)
      const { url, node } = await startSite(t, env)
      const path = `/image/${await uploadFixture(url, 'fig-alpha.png')}/40w.png`
      await node.stop()
      const wrong = await attempt(url, { path })
      const again = await startDarkroom({ env })
      stopAfter(t, again.stop)
      return { wrong, right: await attempt(url, { path }) }
    },
  },
  {
    section,
    title: 'All clients have the address of the proxy',
    says: /X-Forwarded-For of 127\.0\.0\.1 is not trusted, so all clients behind it count as one/,
    fix: 'Name the proxy in `TRUSTED_PROXIES`, but only a proxy that sets the header itself: clients could write it.',
    works: /^ok proxies: /,
    async make(t) {
      const ask = async (more: Env) => {
        const env = await settingsOf(t, more)
        const { url } = await startSite(t, { ...env, ACCEL_PREFIX: '' })
        return await doctorSays('proxies', env, ['--url', url, NGINX_USER])
      }
      const right = await ask({ TRUSTED_PROXIES: '127.0.0.1' })
      return {
        wrong: await ask({}),
        right: { ...right, done: `TRUSTED_PROXIES=127.0.0.1 npm start\n${right.done}` },
      }
    },
  },
  {
    section,
    title: 'The cache is on a mount without access times',
    says: /noatime/,
    fix: 'Mount it with `relatime`, the default of Linux. Otherwise a file that nginx sends often expires like an unused one, and is rendered again.',
    works: /^ok access times: /,
    async make(t) {
      const env = await settingsOf(t)
      const disk = await mountSmallDisk(t, 1)
      const ask = async (option: string) => {
        await runCommand('mount', ['-o', `remount,${option}`, disk.path])
        return await doctorSays('access times', { ...env, CACHE_DIR: disk.path }, LOCAL)
      }
      const wrong = await ask('noatime')
      const right = await ask('atime,relatime')
      return { wrong, right: { ...right, done: `mount -o remount,atime,relatime /var/cache/darkroom\n${right.done}` } }
    },
  },
  {
    section,
    title: 'The disk of the cache is full',
    says: /The file system of CACHE_DIR [^\n]+ it is full/,
    fix: 'Pictures are still served, but each is rendered for every request, and uploads are `503`. Free space, or lower `CACHE_MAX_BYTES`.',
    works: /^ok disk: [^\n]*\n?/,
    async make(t) {
      const env = await settingsOf(t)
      const disk = await mountSmallDisk(t, 3)
      const ask = async () => {
        const { done, answer } = await doctorSays('disk', { ...env, CACHE_DIR: disk.path }, LOCAL)
        const lines = answer.split('\n').filter((line) => line.includes('CACHE_DIR'))
        return { done, answer: lines.join('\n') }
      }
      const filler = await disk.fill('other')
      const wrong = await ask()
      await runCommand('rm', [filler])
      return { wrong, right: await ask() }
    },
  },
]
