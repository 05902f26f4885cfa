import { imageInfo } from '../../src/domain/info/image-info.ts'
import { uprightFacts } from '../../src/domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../src/domain/picture/original-facts.ts'
import { type Plan, plannedSize } from '../../src/domain/picture/transform-plan.ts'
import { OriginalError, UnavailableError } from '../../src/errors.ts'
import type { ImageEngine } from '../../src/service/ports/engine.ts'
import type { ObjectSource } from '../../src/service/ports/store.ts'
import type { MemoryDisk } from './memory-cache.ts'

export const FACTS: OriginalFacts = {
  format: 'png',
  stored: { width: 1000, height: 500 },
  orientation: 1,
  alpha: false,
  frames: 1,
}

export const MEASURED = {
  colorSpace: 'rgb',
  bitsPerSample: 8,
  dominantColor: '#102030',
  thumbHash: 'AAAA',
  blurHash: '0000',
  perceptualHash: '0123456789abcdef',
} as const

export interface MemoryEngine extends ImageEngine {
  /** Renders so far. */
  readonly rendered: string[]
  /** Plans of each decoding so far. */
  readonly decoded: number[]
  /** Originals measured so far. */
  measured: number
  /** Reduced pictures made so far. */
  readonly reduced: number[]
  verified: number
  /** Called within each render. */
  duringRender: () => Promise<void>
}

/** Bytes that the engine below takes for an original. */
export function original(facts: Partial<Picture> = {}): Buffer {
  return Buffer.from(`picture ${JSON.stringify({ ...FACTS, ...facts })}\n`)
}

/** An `ImageEngine` for pictures that are texts. */
export function createMemoryEngine(disk: MemoryDisk): MemoryEngine {
  function read(source: ObjectSource): Picture {
    const bytes = 'bytes' in source ? source.bytes : disk.files.get(source.path)
    if (bytes === undefined) throw new UnavailableError('disk_unavailable', 'The file is gone')
    const json = /^picture (?<json>.*)\n/.exec(bytes.toString())?.groups?.['json']
    const facts: unknown = json === undefined ? undefined : JSON.parse(json)
    if (!isPicture(facts)) throw new OriginalError('original_unsupported', 'No picture')
    return facts
  }

  function decode(source: ObjectSource): OriginalFacts {
    const { broken, level: _level, padding: _padding, ...facts } = read(source)
    if (broken) throw new OriginalError('original_broken', 'Broken')
    return facts
  }

  const engine: MemoryEngine = {
    rendered: [],
    decoded: [],
    reduced: [],
    measured: 0,
    verified: 0,
    duringRender: async () => {},
    async inspect(source) {
      const { broken: _broken, level: _level, padding: _padding, ...facts } = read(source)
      return facts
    },
    async verify(source, facts, levels) {
      engine.verified += 1
      const { format, frames } = decode(source)
      if (levels === undefined || frames > 1 || format === 'tiff') return {}
      return { reduced: await engine.reduce(source, facts, levels), info: await engine.measure(source, facts) }
    },
    render(source, plans) {
      engine.decoded.push(plans.length)
      return plans.map(async (plan) => {
        decode(source)
        const text = describe(plan)
        engine.rendered.push(text)
        await engine.duringRender()
        return Buffer.from(text)
      })
    },
    async measure(source, facts) {
      decode(source)
      engine.measured += 1
      return imageInfo(facts, { ...MEASURED, metadata: { exif: { Make: 'Memory' } }, metadataCut: false })
    },
    async reduce(source, _facts, levels) {
      const facts = decode(source)
      engine.reduced.push(...levels)
      return levels.map((level) => ({ level, bytes: original({ ...uprightFacts(facts), level }) }))
    },
  }
  return engine
}

interface Picture extends OriginalFacts {
  readonly broken?: boolean
  /** Of a reduced picture. */
  readonly level?: number
  /** Makes it a larger file. */
  readonly padding?: string
}

function isPicture(value: unknown): value is Picture {
  return typeof value === 'object' && value !== null && 'format' in value && 'stored' in value
}

function describe(plan: Plan): string {
  const { width, height } = plannedSize(plan)
  return `${width}x${height} ${plan.encoding.format}`
}
