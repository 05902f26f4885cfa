import { writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../tools/processes/free-port.ts'
import { createServerFolder, startServer } from '../../tools/processes/process.ts'
import type { Scope } from '../../tools/processes/scope.ts'
import { ensureNginx } from '../../tools/servers/install-servers.ts'

/**
 * nginx as somebody sets it up who has read one page about it, until the test ends: `proxy_pass` and nothing else, so that the
 * node sees a loopback peer, its own `Host` and no `Forwarded` header.
 *
 * @returns its origin.
 */
export async function startForeignProxy(t: Scope, nodePort: number): Promise<string> {
  const [command, port, folder] = await Promise.all([ensureNginx(), freePort(), createServerFolder('foreign')])
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  // Started by root the workers would be nobody, who cannot use the folder.
  const user = process.getuid?.() === 0 ? `user ${userInfo().username};` : ''
  const config = `${user} pid ${folder}/pid;
events {}
http {
  ${paths.join(' ')} access_log off;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${nodePort};
    }
  }
}
`
  const file = join(folder, 'nginx.conf')
  await writeFile(file, config)
  const origin = `http://127.0.0.1:${port}`
  const server = await startServer({
    name: 'foreign',
    command,
    args: ['-e', 'stderr', '-p', folder, '-c', file, '-g', 'daemon off;'],
    folder,
    isReady: async () => (await fetch(`${origin}/healthz`)).ok,
    readyTimeoutMs: 10_000,
  })
  t.after(() => server.stop())
  return origin
}
