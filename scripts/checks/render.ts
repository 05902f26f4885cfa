import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { planTransform } from '../../src/domain/picture/transform-plan.ts'
import { OUTPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import { createRenderers } from '../../src/node/outside.ts'
import type { Check } from './check.ts'
import { failure, ok, reasonOf } from './finding.ts'

const PICTURE = new URL('../../src/http/answer/error-picture.png', import.meta.url)

/** A renderer starts with these settings, and makes a picture of each format. */
export const renderCheck: Check = {
  name: 'render',
  async run({ config }) {
    const troubles: string[] = []
    const meter = {
      rendered() {},
      fetched() {},
      waited() {},
      trouble: (message: string, cause: unknown) => troubles.push(`${message} (${reasonOf(cause)})`),
    }
    const memoryBytes = Math.min(totalmem(), process.constrainedMemory() || Infinity)
    // The compiled code of the renderers goes there: the cache folder may not exist yet, and is not for the doctor to create.
    const CACHE_DIR = await mkdtemp(join(tmpdir(), 'darkroom-doctor-'))
    const settings = { ...config, CACHE_DIR, RENDER_CONCURRENCY: 1, INPUT_FORMATS: ['png' as const] }
    const engine = createRenderers(settings, meter, memoryBytes)
    const source = { bytes: await readFile(PICTURE) }
    try {
      await engine.ready()
      const facts = await engine.inspect(source)
      const plans = OUTPUT_FORMATS.map((format) => planTransform(parseSpec('16w'), facts, format, config.MAX_SIDE))
      const made = await Promise.allSettled(engine.render(source, plans))
      const failed = made.flatMap((outcome, index) =>
        outcome.status === 'rejected' ? [`${OUTPUT_FORMATS[index]} (${reasonOf(outcome.reason)})`] : [],
      )
      if (failed.length === 0) return [ok(`Renders succeed in ${OUTPUT_FORMATS.join(', ')}.`)]
      return [failure(`Renders fail in ${failed.join(', ')}.`, ADVICE)]
    } catch (error) {
      return [failure(`No render succeeds: ${[reasonOf(error), ...troubles].join('; ')}.`, ADVICE)]
    } finally {
      await engine.stop()
      await rm(CACHE_DIR, { recursive: true, force: true })
    }
  },
}

const ADVICE =
  'Raise RENDER_MEMORY_BYTES or the memory limit of the service if memory is short; else run "npm ci --omit=dev --ignore-scripts" again.'
