/** `npm run check:nginx`: `nginx -t` with both configurations of this repository, their `# site` lines made to fit here. */
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { runCommand } from './processes/process.ts'
import { ensureNginx } from './servers/install-servers.ts'
import { nginxArguments, writeFrontConfig, writeSiteConfig } from './servers/nginx.ts'

const command = await ensureNginx()
const configs = [
  await writeSiteConfig({ nodePort: 8080, cacheDir: tmpdir() }),
  await writeFrontConfig({ nodes: ['127.0.0.1:80'] }),
]
try {
  for (const config of configs) await runCommand(command, nginxArguments(config, ['-t']))
} finally {
  for (const { folder } of configs) await rm(folder, { recursive: true, force: true })
}
