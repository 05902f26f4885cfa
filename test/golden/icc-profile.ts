import { D50, type RgbSpace, type Triple, toConnectionSpace } from '../../tools/pictures/colour.ts'

/**
 * ICC profiles (version 2), made by hand, so that nothing that reads them had a part in them.
 *
 * @see https://www.color.org/ICC_Minor_Revision_for_Web.pdf
 */
export function rgbProfile(space: RgbSpace): Buffer {
  const [[redX, greenX, blueX], [redY, greenY, blueY], [redZ, greenZ, blueZ]] = toConnectionSpace(space)
  const curve = curveTag(space.toLight)
  return profile('mntr', 'RGB ', 'XYZ ', {
    rXYZ: xyzTag([redX, redY, redZ]),
    gXYZ: xyzTag([greenX, greenY, greenZ]),
    bXYZ: xyzTag([blueX, blueY, blueZ]),
    rTRC: curve,
    gTRC: curve,
    bTRC: curve,
  })
}

export function greyProfile(toLight: (value: number) => number): Buffer {
  return profile('mntr', 'GRAY', 'XYZ ', { kTRC: curveTag(toLight) })
}

/** What each mix of full inks looks like; between them the profile is linear. @param labOfInks Each ink is 0 or 1. */
export function cmykProfile(labOfInks: (inks: readonly number[]) => Triple): Buffer {
  const head = Buffer.alloc(52)
  head.write('mft2')
  head.set([4, 3, 2], 8)
  for (const at of [12, 28, 44]) head.writeUInt32BE(0x10000, at)
  head.writeUInt16BE(2, 48)
  head.writeUInt16BE(2, 50)
  const straight = [0, 0xffff]
  const nodes = Array.from({ length: 16 }, (_, node) => {
    const [lightness, a, b] = labOfInks([8, 4, 2, 1].map((bit) => ((node & bit) === 0 ? 0 : 1)))
    return [(lightness / 100) * 0xff00, (a + 128) * 256, (b + 128) * 256]
  })
  const table = [...[1, 2, 3, 4].map(() => straight), ...nodes, ...[1, 2, 3].map(() => straight)].flat()
  return profile('prtr', 'CMYK', 'Lab ', { A2B0: Buffer.concat([head, uint16s(table)]) })
}

function profile(kind: string, colours: string, connection: string, tags: Readonly<Record<string, Buffer>>): Buffer {
  const all = Object.entries({
    ...tags,
    desc: descriptionTag(),
    cprt: textTag('No rights reserved'),
    wtpt: xyzTag(D50),
  })
  const head = Buffer.alloc(128 + 4 + 12 * all.length)
  head.writeUInt32BE(0x02100000, 8)
  head.write(`${kind}${colours}${connection}`, 12)
  head.write('acsp', 36)
  for (const [index, value] of D50.entries()) head.writeInt32BE(fixed(value), 68 + 4 * index)
  head.writeUInt32BE(all.length, 128)
  const bodies: Buffer[] = []
  let at = head.length
  for (const [index, [name, body]] of all.entries()) {
    const entry = 132 + 12 * index
    head.write(name, entry)
    head.writeUInt32BE(at, entry + 4)
    head.writeUInt32BE(body.length, entry + 8)
    const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)])
    bodies.push(padded)
    at += padded.length
  }
  head.writeUInt32BE(at, 0)
  return Buffer.concat([head, ...bodies])
}

const CURVE_POINTS = 1024

function curveTag(toLight: (value: number) => number): Buffer {
  const points = Array.from({ length: CURVE_POINTS }, (_, index) => 0xffff * toLight(index / (CURVE_POINTS - 1)))
  const head = Buffer.alloc(12)
  head.write('curv')
  head.writeUInt32BE(CURVE_POINTS, 8)
  return Buffer.concat([head, uint16s(points)])
}

function xyzTag(xyz: Triple): Buffer {
  const tag = Buffer.alloc(20)
  tag.write('XYZ ')
  for (const [index, value] of xyz.entries()) tag.writeInt32BE(fixed(value), 8 + 4 * index)
  return tag
}

function textTag(text: string): Buffer {
  return Buffer.from(`text\0\0\0\0${text}\0`)
}

function descriptionTag(): Buffer {
  const text = 'By hand\0'
  const tag = Buffer.alloc(12 + text.length + 78)
  tag.write('desc')
  tag.writeUInt32BE(text.length, 8)
  tag.write(text, 12)
  return tag
}

function fixed(value: number): number {
  return Math.round(value * 0x10000)
}

function uint16s(values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 2)
  for (const [index, value] of values.entries()) buffer.writeUInt16BE(Math.round(value), index * 2)
  return buffer
}
