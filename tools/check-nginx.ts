/** `npm run check:nginx`: nginx itself reads this repository's nginx.conf, with the lines marked `# site` made to fit here. */
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { runCommand } from './processes/process.ts'
import { ensureNginx } from './servers/install-servers.ts'
import { nginxArguments, writeSiteConfig } from './servers/nginx.ts'

const command = await ensureNginx()
const config = await writeSiteConfig({ nodePort: 8080, cacheDir: tmpdir() })
try {
  await runCommand(command, nginxArguments(config, ['-t']))
} finally {
  await rm(config.folder, { recursive: true, force: true })
}
