import { z } from 'zod'

/** Licences under which a package may be a part of what is delivered. */
const LICENCES = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'LGPL-3.0-or-later',
  'MIT',
  'MPL-2.0',
])
/** Packages with an install script; `npm start` and the Dockerfile skip it, and they work without. */
const WITH_SCRIPTS = new Set(['exifreader'])

const Manifest = z.object({ dependencies: z.record(z.string(), z.string()) })
const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      dev: z.boolean().default(false),
      version: z.string().optional(),
      license: z.string().default('none'),
      integrity: z.string().default(''),
      hasInstallScript: z.boolean().default(false),
      link: z.boolean().default(false),
    }),
  ),
})

/**
 * What of the packages that are delivered breaks our rules: versions are exact, bytes are known by SHA-512, licences are known ones,
 * and nothing runs at installation.
 *
 * @param manifest `package.json`; `lock` `package-lock.json`.
 * @returns one breach a line; none if all is well.
 */
export function ruleBreaches(manifest: unknown, lock: unknown): readonly string[] {
  const direct = Object.entries(Manifest.parse(manifest).dependencies)
  const loose = direct.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
  const delivered = Object.entries(Lock.parse(lock).packages).filter(([path, { dev }]) => path !== '' && !dev)
  return [
    ...loose.map(([name, version]) => `${name}: "${version}" should be one exact version`),
    ...delivered.flatMap(([path, one]) => {
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
      const licences = one.license.split(' AND ').filter((licence) => !LICENCES.has(licence))
      return [
        ...licences.map((licence) => `${name}: the licence ${licence} is not on our list`),
        ...(one.integrity.startsWith('sha512-') && !one.link ? [] : [`${name}: no SHA-512 says which bytes it has`]),
        ...(one.hasInstallScript && !WITH_SCRIPTS.has(name) ? [`${name}: it runs a script when it is installed`] : []),
      ]
    }),
  ]
}
