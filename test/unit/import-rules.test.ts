import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { before, test } from 'node:test'
import { z } from 'zod'

const ROOT = join(import.meta.dirname, '../..')

/** Where a file is, what it says, and whether the linter has to object. */
const CASES = [
  ['src/errors.ts', `import { x } from './domain/spec/spec.ts'`, true],
  ['src/config/env.ts', `import { z } from 'zod'`, false],
  ['src/config/env.ts', `import { x } from './fields.ts'`, false],
  ['src/config/env.ts', `import { x } from '../domain/spec/spec.ts'`, false],
  ['src/config/env.ts', `import { x } from '../service/ports/store.ts'`, true],
  ['src/config/buckets-file.ts', `import { parse } from 'yaml'`, false],
  ['src/config/buckets-file.ts', `import { x } from '../node/start.ts'`, true],
  ['src/config/buckets-file.ts', `import { x } from '../adapters/s3/s3-bucket.ts'`, true],
  ['src/main.ts', `import { x } from './node/start.ts'`, false],
  ['src/main.ts', `import { x } from './config/env.ts'`, false],
  ['src/main.ts', `import { x } from './http/app.ts'`, true],
  ['src/main.ts', `import { x } from './service/ports/store.ts'`, true],
  ['src/renderer.ts', `import { x } from './adapters/renderer/renderer-process.ts'`, false],
  ['src/renderer.ts', `import { x } from './adapters/sharp/sharp-engine.ts'`, true],
  ['src/node/start.ts', `import { x } from '../adapters/s3/s3-store.ts'`, false],

  ['src/domain/spec/a.ts', `import { x } from './spec.ts'`, false],
  ['src/domain/spec/a.ts', `import { x } from '../text/byte-amount.ts'`, false],
  ['src/domain/spec/a.ts', `import { x } from '../url/image-path.ts'`, true],
  ['src/domain/spec/a.ts', `import type { x } from '../url/image-path.ts'`, true],
  ['src/domain/text/a.ts', `import { x } from '../spec/spec.ts'`, true],
  ['src/domain/dialect/a.ts', `import { x } from '../stored/store-layout.ts'`, false],
  ['src/domain/spec/a.ts', `import { x } from '../../errors.ts'`, false],
  ['src/domain/spec/a.ts', `import { createHash } from 'node:crypto'`, false],
  ['src/domain/spec/a.ts', `import { readFile } from 'node:fs/promises'`, true],
  ['src/domain/spec/a.ts', `import type { x } from '../../service/ports/store.ts'`, true],
  ['src/domain/spec/a.ts', `import { x } from '../../config/env.ts'`, true],
  ['src/domain/spec/a.ts', `export * as sharp from 'sharp'`, true],
  ['src/domain/spec/a.ts', `export const x = await import('sharp')`, true],
  ['src/domain/network/a.ts', `import ipaddr from 'ipaddr.js'`, false],
  ['src/domain/network/a.ts', `import { isIP } from 'node:net'`, true],
  ['src/domain/spec/a.ts', `import ipaddr from 'ipaddr.js'`, true],

  ['src/service/load/a.ts', `import { x } from '../../domain/spec/spec.ts'`, false],
  ['src/service/load/a.ts', `import { x } from '../tools/coalesce.ts'`, false],
  ['src/service/load/a.ts', `import { x } from '../renditions/view.ts'`, true],
  ['src/service/load/a.ts', `import type { x } from '../originals/fetch.ts'`, true],
  ['src/service/library/a.ts', `import { x } from '../renditions/view.ts'`, false],
  ['src/service/load/a.ts', `import pLimit from 'p-limit'`, false],
  ['src/service/load/a.ts', `import type { Readable } from 'node:stream'`, false],
  ['src/service/load/a.ts', `import { Readable } from 'node:stream'`, true],
  ['src/service/load/a.ts', `import { x } from '../../adapters/s3/s3-store.ts'`, true],
  ['src/service/load/a.ts', `import type { x } from '../../adapters/s3/s3-store.ts'`, true],
  ['src/service/load/a.ts', `import { x } from '../../telemetry/metrics.ts'`, true],
  ['src/service/load/a.ts', `import sharp from 'sharp'`, true],

  ['src/domain/intake/a.ts', `import { x } from '../sweep/segments.ts'`, false],
  ['src/domain/sweep/a.ts', `import { x } from '../intake/settling.ts'`, true],
  ['src/service/intake/a.ts', `import { x } from '../library/ingest-service.ts'`, false],
  ['src/service/library/a.ts', `import { x } from '../intake/take-file.ts'`, true],
  ['src/service/members/a.ts', `import { x } from '../tools/small-object.ts'`, false],
  ['src/service/members/a.ts', `import { x } from '../deletion/guard.ts'`, true],

  ['src/adapters/cache/disk-cache.ts', `import { open } from 'node:fs/promises'`, false],
  ['src/adapters/cache/disk-cache.ts', `import { x } from '../files/make-folder.ts'`, false],
  ['src/adapters/cache/disk-cache.ts', `import { x } from '../s3/s3-store.ts'`, true],
  ['src/adapters/cache/disk-cache.ts', `import type { x } from '../../service/ports/store.ts'`, false],
  ['src/adapters/cache/disk-cache.ts', `import { x } from '../../service/ports/store.ts'`, true],
  ['src/adapters/cache/disk-cache.ts', `import type { x } from '../../service/tools/coalesce.ts'`, true],
  ['src/adapters/cache/disk-cache.ts', `import { S3Client } from '@aws-sdk/client-s3'`, true],
  ['src/adapters/cache/disk-cache.ts', `import sharp from 'sharp'`, true],
  ['src/adapters/cache/disk-cache.ts', `import { Agent } from 'undici'`, true],
  ['src/adapters/cache/disk-cache.ts', `import { x } from '../../http/app.ts'`, true],
  ['src/adapters/s3/s3-store.ts', `import { S3Client } from '@aws-sdk/client-s3'`, false],
  ['src/adapters/s3/s3-store.ts', `import sharp from 'sharp'`, true],
  ['src/adapters/s3/s3-store.ts', `import { x } from '../../config/env.ts'`, true],
  ['src/adapters/sharp/sharp-engine.ts', `import sharp from 'sharp'`, false],
  ['src/adapters/sharp/metadata-reader.ts', `import ExifReader from 'exifreader'`, false],
  ['src/adapters/sharp/metadata-reader.ts', `import { DOMParser } from '@xmldom/xmldom'`, false],
  ['src/adapters/sharp/placeholder-hash.ts', `import { encode } from 'blurhash'`, false],
  ['src/adapters/sharp/placeholder-hash.ts', `import { rgbaToThumbHash } from 'thumbhash'`, false],
  ['src/adapters/sharp/sharp-engine.ts', `import { S3Client } from '@aws-sdk/client-s3'`, true],
  ['src/adapters/sharp/sharp-engine.ts', `import { x } from '../../service/load/work-queue.ts'`, true],
  ['src/adapters/renderer/renderer-pool.ts', `import { x } from '../sharp/sharp-engine.ts'`, false],
  ['src/adapters/sharp/sharp-engine.ts', `import { x } from '../renderer/renderer-pool.ts'`, true],
  ['src/adapters/hosts/remote-source.ts', `import { Agent } from 'undici'`, false],
  ['src/adapters/hosts/remote-source.ts', `import sharp from 'sharp'`, true],

  ['src/http/routes.ts', `import { x } from './pictures/picture-answer.ts'`, false],
  ['src/http/routes.ts', `import type { x } from '../adapters/cache/disk-cache.ts'`, true],
  ['src/http/answer/a.ts', `import Koa from 'koa'`, false],
  ['src/http/answer/a.ts', `import Router from '@koa/router'`, false],
  ['src/http/answer/a.ts', `import { x } from '../request/request-state.ts'`, false],
  ['src/http/answer/a.ts', `import { x } from '../pictures/picture-answer.ts'`, true],
  ['src/http/answer/a.ts', `import { x } from '../../service/ports/store.ts'`, false],
  ['src/http/answer/a.ts', `import { x } from '../../telemetry/metrics.ts'`, false],
  ['src/http/answer/a.ts', `import type { x } from '../../adapters/cache/disk-cache.ts'`, true],
  ['src/http/answer/a.ts', `import { pino } from 'pino'`, true],
  ['src/http/answer/a.ts', `import sharp from 'sharp'`, true],

  ['src/telemetry/a.ts', `import { pino } from 'pino'`, false],
  ['src/telemetry/a.ts', `import { x } from '../errors.ts'`, true],
  ['src/telemetry/a.ts', `import Koa from 'koa'`, true],

  ['scripts/import.ts', `import { x } from '../src/node/services.ts'`, false],
  ['scripts/import.ts', `import { x } from '../tools/processes/process.ts'`, true],
  ['scripts/import.ts', `import { x } from '../bench/measure.ts'`, true],
  ['scripts/import.ts', `import type { x } from '../test/support/render.ts'`, true],
  ['tools/fuzz/a.ts', `import { x } from '../processes/process.ts'`, false],
  ['tools/fuzz/a.ts', `import { x } from '../../src/domain/spec/spec.ts'`, false],
  ['tools/fuzz/a.ts', `import { x } from '../../test/support/render.ts'`, true],
  ['tools/fuzz/a.ts', `import type { x } from '../../test/support/render.ts'`, true],
  ['tools/fuzz/a.ts', `import { x } from '../../bench/measure.ts'`, true],
  ['bench/a.ts', `import { x } from '../tools/processes/process.ts'`, false],
  ['bench/a.ts', `import { x } from '../test/support/render.ts'`, true],
  ['bench/a.ts', `export const x = await import('../test/support/render.ts')`, true],
  ['test/unit/a.ts', `import { x } from '../../tools/processes/process.ts'`, false],

  ['src/service/load/b.ts', `export const home = process.env.HOME`, true],
  ['src/adapters/cache/b.ts', `import process from 'node:process'`, true],
  ['src/http/answer/b.ts', `import process from 'node:process'`, true],
  ['src/domain/spec/b.ts', `export default 1`, true],
  ['src/domain/spec/b.ts', `export const x: any = 1`, true],
  ['src/domain/spec/b.ts', `export const x = (y?: string) => y!.length`, true],
  ['src/domain/spec/b.ts', `export const x = (y: unknown) => y as string`, true],
  ['src/domain/spec/b.ts', `export const x = ['a'] as const`, false],
] as const

const Report = z.object({
  diagnostics: z.array(z.object({ filename: z.string(), code: z.string().optional(), message: z.string() })),
})

/** Of each case and of the cycle, the message of the rule that it breaks. */
const objections: (string | undefined)[] = []
let cycleObjection: string | undefined

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-import-rules-'))
  try {
    // The rules go by a file's path, so cases of one path go into projects of their own.
    const projects = CASES.map(([path], index) => {
      const earlier = CASES.slice(0, index).filter((other) => other[0] === path)
      return join(folder, `project-${earlier.length}`)
    })
    for (const [index, [path, source]] of CASES.entries()) await write(projects[index] ?? '', path, source)
    const found = new Map<string, string>()
    for (const project of new Set(projects)) {
      for (const [file, message] of await lint(project)) found.set(join(project, file), message)
    }
    for (const [index, [path]] of CASES.entries()) objections.push(found.get(join(projects[index] ?? '', path)))

    const cycle = join(folder, 'cycle')
    await write(cycle, 'src/domain/text/day.ts', `import { night } from './night.ts'\nexport const day = () => night`)
    await write(cycle, 'src/domain/text/night.ts', `import { day } from './day.ts'\nexport const night = () => day`)
    cycleObjection = (await lint(cycle)).get('src/domain/text/day.ts')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

for (const [index, [path, source, isForbidden]] of CASES.entries()) {
  test(`the linter ${isForbidden ? 'rejects' : 'accepts'} in ${path}: ${source}`, () => {
    assert.equal(objections[index] !== undefined, isForbidden, objections[index])
  })
}

test('the linter rejects an import cycle', () => {
  assert.match(cycleObjection ?? 'none', /no-cycle/)
})

async function write(project: string, path: string, source: string): Promise<void> {
  await mkdir(dirname(join(project, path)), { recursive: true })
  await cp(join(ROOT, '.oxlintrc.json'), join(project, '.oxlintrc.json'))
  await writeFile(join(project, path), `${source}\n`)
}

/** Rule and message by file. Unused imports are not the point here. */
function lint(folder: string): Promise<Map<string, string>> {
  const oxlint = join(ROOT, 'node_modules/.bin/oxlint')
  return new Promise((resolve, reject) => {
    execFile(oxlint, ['--format=json', '--allow=no-unused-vars'], { cwd: folder }, (_error, stdout) => {
      try {
        const { diagnostics } = Report.parse(JSON.parse(stdout))
        resolve(new Map(diagnostics.map(({ filename, code, message }) => [filename, `${code ?? ''}: ${message}`])))
      } catch (error) {
        reject(error)
      }
    })
  })
}
