import { globSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { commandOutput, runCommand } from '../processes/process.ts'
import { findCommand } from './debian-packages.ts'
import { ensureCached, ensurePip, pipInstall } from './install-servers.ts'

const VALIDATE_VERSION = '1.37.0'

/**
 * Debian's `kubectl`, unpacked and not installed: a machine with a newer one of another source keeps it. Some seconds, once.
 *
 * @returns Its path, and then that of the machine's own, if there is one.
 */
export async function ensureKubectls(): Promise<readonly string[]> {
  const debian = await ensureCached('kubernetes-client-debian/usr/bin/kubectl', async (folder) => {
    const download = await mkdtemp(join(tmpdir(), 'kubernetes-client-'))
    try {
      const get = () => runCommand('env', ['--chdir', download, 'apt-get', '-qq', 'download', 'kubernetes-client'])
      // Package lists that are absent or out of date make the first try fail.
      await get().catch(() => runCommand('apt-get', ['-qq', 'update']).then(get))
      const [file = ''] = globSync(join(download, '*.deb'))
      await runCommand('dpkg-deb', ['--extract', file, folder])
    } finally {
      await rm(download, { recursive: true, force: true })
    }
  })
  const own = await findCommand('kubectl')
  const isOther = own !== undefined && (await versionOf(own)) !== (await versionOf(debian))
  return isOther ? [debian, own] : [debian]
}

function versionOf(kubectl: string): Promise<string | undefined> {
  return commandOutput(kubectl, ['version', '--client'])
}

/** PyPI's `kubernetes-validate` with the schemas of Kubernetes 1.25 to 1.37: some seconds, once. @returns As `ensureAwsCli`. */
export async function ensureKubernetesValidate(): Promise<{ python: string; folder: string }> {
  const script = await ensureCached(
    `kubernetes-validate-${VALIDATE_VERSION}/bin/kubernetes-validate`,
    async (folder) => {
      await pipInstall(`kubernetes-validate==${VALIDATE_VERSION}`, folder)
    },
  )
  return { python: await ensurePip(), folder: dirname(dirname(script)) }
}
