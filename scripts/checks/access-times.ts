import { access, constants } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { probeAccessTimes } from '../../src/adapters/cache/cache-folder.ts'
import { CACHE_FOLDERS } from '../../src/domain/stored/cache-layout.ts'
import type { Check } from './check.ts'
import { ok, skipped, warning } from './finding.ts'

/** Files that nginx serves by itself expire by their access time, which the mount has to record. */
export const accessTimesCheck: Check = {
  name: 'access times',
  async run({ config }) {
    const path = resolve(config.CACHE_DIR)
    try {
      await access(join(path, CACHE_FOLDERS.temporary), constants.W_OK)
    } catch {
      return [skipped('CACHE_DIR is not writable yet.')]
    }
    if ((await probeAccessTimes(path)) === 'kernel') return [ok('The file system of CACHE_DIR records access times.')]
    return [
      warning(
        `The file system of ${path} does not record access times (noatime), so files that nginx serves expire by their age.`,
        'Mount it with relatime, Linux\'s default: remove noatime from /etc/fstab, then run "mount -o remount,atime,relatime" on it.',
      ),
    ]
  },
}
