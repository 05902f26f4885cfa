import sharp from 'sharp'
import { distinctCopy, extensionOf } from '../pictures/distinct-copy.ts'
import { idOf } from '../pictures/picture.ts'
import { fixture } from '../servers/darkroom.ts'

/** `flipped`: a decoder may accept it or not. */
export type FileKind = 'whole' | 'truncated' | 'flipped'

export interface TrialFile {
  readonly name: string
  readonly kind: FileKind
  readonly id: string
  readonly sizeBytes: number
  readonly bytes: Buffer
}

const PHOTOGRAPHS = ['mountains.jpg', 'brushes-p3.jpg', 'dogs-grey.jpg', 'stream.webp', 'fig-alpha.png'] as const
const WIDTHS = [240, 320, 400] as const
/** Of five files, one is broken. */
const BROKEN = 5

/** Small versions of real photographs: JPEG, PNG and WebP. */
export async function smallPhotographs(): Promise<readonly Buffer[]> {
  const formats = ['jpeg', 'webp', 'jpeg', 'png', 'jpeg'] as const
  const all = PHOTOGRAPHS.flatMap((name) => WIDTHS.map((width) => ({ name, width })))
  return await Promise.all(
    all.map(async ({ name, width }, index) =>
      sharp(await fixture(name))
        .resize({ width })
        .toFormat(formats[index % formats.length] ?? 'jpeg')
        .toBuffer(),
    ),
  )
}

/** Another copy of a photograph for each number: whole, truncated at a random byte, or with a flipped bit. @param random Its own. */
export function trialFile(photographs: readonly Buffer[], number: number, random: () => number): TrialFile {
  const photograph = distinctCopy(photographs[random() % photographs.length] ?? Buffer.alloc(0), `copy ${number}`)
  const kind = number % BROKEN !== 0 ? 'whole' : number % (2 * BROKEN) === 0 ? 'truncated' : 'flipped'
  const bytes = damaged(photograph, kind, random)
  const name = `${kind}-${String(number).padStart(5, '0')}.${extensionOf(photograph)}`
  return { name, kind, id: idOf(bytes), sizeBytes: bytes.length, bytes }
}

function damaged(file: Buffer, kind: FileKind, random: () => number): Buffer {
  if (kind === 'whole') return file
  if (kind === 'truncated') return file.subarray(0, 1 + (random() % (file.length - 1)))
  const flipped = Buffer.from(file)
  const at = random() % file.length
  flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (random() % 8)), at)
  return flipped
}
