import { readFile } from 'node:fs/promises'
import { createSharpEngine, type SharpEngineOptions } from '../../src/adapters/sharp/sharp-engine.ts'
import { type Plan, planTransform } from '../../src/domain/picture/transform-plan.ts'
import type { OutputFormat } from '../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../src/domain/spec/spec.ts'
import type { ImageEngine } from '../../src/service/ports/engine.ts'
import type { ObjectSource } from '../../src/service/ports/store.ts'

const OPTIONS: SharpEngineOptions = {
  inputFormats: ['jpeg', 'png', 'webp', 'avif', 'gif'],
  maxPixels: 100_000_000,
  maxFrames: 500,
  timeoutSeconds: 20,
}

export function createEngine(options: Partial<SharpEngineOptions> = {}): ImageEngine {
  return createSharpEngine({ ...OPTIONS, ...options })
}

/** A whole rendition, as the services make it. @param spec As in a URL. */
export async function render(bytes: Buffer, spec: string, format: OutputFormat): Promise<Buffer> {
  const engine = createEngine()
  const source = { bytes }
  const facts = await engine.inspect(source)
  await engine.verify(source, facts)
  return await renderOne(engine, source, planTransform(parseSpec(spec), facts, format, 8192))
}

/** A plan alone. */
export async function renderOne(engine: ImageEngine, source: ObjectSource, plan: Plan): Promise<Buffer> {
  const [rendition] = engine.render(source, [plan])
  if (rendition === undefined) throw new TypeError('A plan gives a rendition')
  return await rendition
}

/** @param name A file of `test/fixtures`. */
export function fixture(name: string): Promise<Buffer> {
  return readFile(new URL(`../fixtures/${name}`, import.meta.url))
}
