import sharp from 'sharp'

/** A camera that never was, at the Royal Observatory. By sharp's names of EXIF's directories. */
export const CAMERA_EXIF = {
  IFD0: {
    Make: 'Darkroom',
    Model: 'Fixture One',
    Artist: 'A. Photographer',
    Copyright: '2026 A. Photographer',
    ImageDescription: 'Mountains in the morning',
  },
  IFD2: {
    DateTimeOriginal: '2026:05:04 06:07:08',
    OffsetTimeOriginal: '+02:00',
    SubSecTimeOriginal: '25',
    ExposureTime: '1/250',
    FNumber: '28/10',
    ISOSpeedRatings: '200',
    FocalLength: '50/1',
    FocalLengthIn35mmFilm: '75',
    LensModel: 'Fixture 50mm F1.8',
  },
  IFD3: {
    GPSLatitudeRef: 'N',
    GPSLatitude: '51/1 28/1 4012/100',
    GPSLongitudeRef: 'W',
    GPSLongitude: '0/1 0/1 531/100',
    GPSAltitudeRef: '0',
    GPSAltitude: '4612/100',
  },
} as const

/** XMP of these elements and attributes, as editors write it. */
export function xmpPacket(elements: string, attributes = ''): string {
  return `<?xpacket begin="\uFEFF" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
    xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/">
    <rdf:Description rdf:about="" ${attributes}>${elements}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`
}

/** IPTC's datasets of record 2 by number, in UTF-8, in Photoshop's block as it stands in a JPEG. */
export function iptcBlock(datasets: readonly (readonly [number, string])[]): Buffer {
  const dataset = (record: number, number: number, bytes: Buffer) => {
    const head = Buffer.from([0x1c, record, number, 0, 0])
    head.writeUInt16BE(bytes.length, 3)
    return Buffer.concat([head, bytes])
  }
  const utf8 = dataset(1, 90, Buffer.from('\x1b%G'))
  const content = Buffer.concat([utf8, ...datasets.map(([number, text]) => dataset(2, number, Buffer.from(text)))])
  const head = Buffer.from('8BIM\x04\x04\0\0\0\0\0\0', 'latin1')
  head.writeUInt32BE(content.length, 8)
  return Buffer.concat([Buffer.from('Photoshop 3.0\0'), head, content, Buffer.alloc(content.length % 2)])
}

/** A JPEG with one more segment, right after its start. @param marker Second byte of the segment's marker. */
export function withSegment(jpeg: Buffer, marker: number, content: Buffer): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0])
  head.writeUInt16BE(content.length + 2, 2)
  return Buffer.concat([jpeg.subarray(0, 2), head, content, jpeg.subarray(2)])
}

export interface EntryOf {
  readonly tag: number
  /** EXIF's number: 1 byte, 2 ASCII, 3 short, 4 long, 5 rational, 7 undefined. */
  readonly type: number
  /** As the directory says it, true or not. */
  readonly count: number
  /** What stands in the entry if it has four bytes or fewer, else behind the directory. */
  readonly bytes: Buffer
}

/** An EXIF block with one directory, of whatever it is told: what no library would write. */
export function exifBlock(entries: readonly EntryOf[]): Buffer {
  const directory = Buffer.alloc(2 + entries.length * 12 + 4)
  directory.writeUInt16LE(entries.length)
  const behind: Buffer[] = []
  let at = 8 + directory.length
  for (const [index, { tag, type, count, bytes }] of entries.entries()) {
    const entry = 2 + index * 12
    directory.writeUInt16LE(tag, entry)
    directory.writeUInt16LE(type, entry + 2)
    directory.writeUInt32LE(count, entry + 4)
    if (bytes.length <= 4) bytes.copy(directory, entry + 8)
    else {
      directory.writeUInt32LE(at, entry + 8)
      behind.push(bytes)
      at += bytes.length
    }
  }
  return Buffer.concat([Buffer.from('II*\0\x08\0\0\0', 'latin1'), directory, ...behind])
}

/** The picture as a JPEG with all that a camera and an editor write, a place in each of them. */
export async function wellDescribed(picture: Buffer): Promise<Buffer> {
  const xmp = xmpPacket(
    `<dc:subject><rdf:Bag><rdf:li>alps</rdf:li><rdf:li>dawn</rdf:li></rdf:Bag></dc:subject>
     <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Dawn</rdf:li><rdf:li xml:lang="de">Morgen</rdf:li></rdf:Alt></dc:title>
     <Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li rdf:parseType="Resource"><exif:GPSLatitude>51,28.6687N</exif:GPSLatitude>
     </rdf:li></rdf:Bag></Iptc4xmpExt:LocationCreated>`,
    'xmp:Rating="4" exif:GPSLatitude="51,28.6687N" drone-dji:RelativeAltitude="+46.12" xmp:Label="51,28.6687N"',
  )
  const jpeg = await sharp(picture).withExif(CAMERA_EXIF).withXmp(xmp).withIccProfile('p3').jpeg().toBuffer()
  const iptc = iptcBlock([
    [25, 'mountain'],
    [25, 'Größe'],
    [80, 'A. Photographer'],
    [105, 'Headline'],
  ])
  return withSegment(jpeg, 0xed, iptc)
}

/** Everything in which a place could be told. */
export const PLACE_TRACES = /GPS|51[,.]|28\.66|4012|46\.12|4612|latitude|longitude/i
