import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../tools/processes/free-port.ts'
import { commandOutput, createServerFolder, runQuietly, startServer } from '../../tools/processes/process.ts'
import type { Scope } from '../../tools/processes/scope.ts'
import { ensureWordpress } from '../../tools/servers/install-frameworks.ts'
import { stopAfter } from '../../tools/servers/site.ts'

const WORDPRESS = '/usr/share/wordpress'
const PLUGIN = 'wp-content/plugins/darkroom'
const EXAMPLES = new URL('../../examples/', import.meta.url).pathname
const READY_TIMEOUT_MS = 60_000

/** Debian's WordPress with the plugin, not activated yet, its own MariaDB, and the user `admin` with the password `admin`. */
export interface WordpressSite {
  readonly url: string
  readonly port: number
  /** The folder of WordPress. */
  readonly folder: string
  /**
   * Runs PHP with WordPress loaded. @param program Without the tag.
   *
   * @returns what it prints.
   */
  php(program: string, env?: Readonly<Record<string, string>>): Promise<string>
  /** Serves the site until the end of the scope, with settings of the plugin. */
  serve(env: Readonly<Record<string, string>>): Promise<void>
}

export async function createWordpressSite(t: Scope): Promise<WordpressSite> {
  const commands = await ensureWordpress()
  const socket = await startMariadb(t, commands)
  const folder = await createServerFolder('wordpress')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  await cp(WORDPRESS, folder, {
    recursive: true,
    dereference: true,
    // Its wp-config.php and .htaccess are links to files of the site that Debian would configure.
    filter: (path) => !/\/(?:wp-config\.php|\.htaccess|plugins\/.+)$/.test(path),
  })
  await mkdir(join(folder, PLUGIN), { recursive: true })
  await cp(join(EXAMPLES, 'wordpress/darkroom.php'), join(folder, PLUGIN, 'darkroom.php'))
  await cp(join(EXAMPLES, 'signing/sign.php'), join(folder, PLUGIN, 'sign.php'))
  await mkdir(join(folder, 'wp-content/uploads'))
  await writeFile(join(folder, 'wp-config.php'), config(url, socket))
  const php = (program: string, env: Readonly<Record<string, string>> = {}) =>
    runQuietly(commands.php, ['-d', 'display_errors=stderr', '-r', program], {
      ...process.env,
      ...env,
      WP_FOLDER: folder,
    })
  const loaded = `$_SERVER['HTTP_HOST'] = '127.0.0.1'; require getenv('WP_FOLDER') . '/wp-load.php';`
  await php(`define('WP_INSTALLING', true); ${loaded}
    require_once ABSPATH . 'wp-admin/includes/upgrade.php';
    wp_install('Site', 'admin', 'admin@example.com', true, '', 'admin');
    update_option('show_avatars', 0); // they are on a host of the internet`)
  return {
    url,
    port,
    folder,
    php: (program, env) => php(`${loaded} ${program}`, env),
    async serve(env) {
      const server = await startServer({
        name: 'wordpress',
        command: commands.php,
        args: ['-S', `127.0.0.1:${port}`, '-t', folder],
        folder,
        env: { ...env, PHP_CLI_SERVER_WORKERS: '4' },
        isReady: async () => (await fetch(`${url}/readme.html`)).ok,
        readyTimeoutMs: READY_TIMEOUT_MS,
      })
      stopAfter(t, server.stop)
    },
  }
}

/** @returns the path of its socket. */
async function startMariadb(
  t: Scope,
  { mariadb, createDatabase }: Readonly<Record<'mariadb' | 'createDatabase', string>>,
): Promise<string> {
  const folder = await createServerFolder('mariadb')
  const data = join(folder, 'data')
  const socket = join(folder, 'socket')
  const user = '--user=root'
  await runQuietly(
    createDatabase,
    ['--no-defaults', `--datadir=${data}`, user, '--auth-root-authentication-method=normal', '--skip-test-db'],
    process.env,
  )
  const server = await startServer({
    name: 'mariadb',
    command: mariadb,
    args: ['--no-defaults', `--datadir=${data}`, user, `--socket=${socket}`, '--skip-networking'],
    folder,
    isReady: async () =>
      (await commandOutput('mariadb', ['--no-defaults', `--socket=${socket}`, '-e', 'CREATE DATABASE wordpress'])) !==
      undefined,
    readyTimeoutMs: READY_TIMEOUT_MS,
  })
  stopAfter(t, server.stop)
  return socket
}

function config(url: string, socket: string): string {
  return `<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:${socket}');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT', 'NONCE_SALT'] as $name) {
    define($name, $name);
}
define('WP_HOME', '${url}');
define('WP_SITEURL', '${url}');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
foreach (['DARKROOM_URL', 'DARKROOM_URL_KEY', 'DARKROOM_BUCKET', 'DARKROOM_PREFIX'] as $name) {
    if (getenv($name)) define($name, getenv($name));
}
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
`
}
