import type { Sharp } from 'sharp'
import type { Encoding } from '../../domain/picture/encoding.ts'

/** Chooses the encoder of what the image becomes, and sets it. */
export function encode(image: Sharp, encoding: Encoding): Sharp {
  switch (encoding.format) {
    case 'jpg':
      return image.jpeg({
        quality: encoding.quality,
        chromaSubsampling: encoding.chroma444 ? '4:4:4' : '4:2:0',
        trellisQuantisation: encoding.trellis,
        quantisationTable: encoding.quantisationTable,
      })
    case 'png':
      return image.png()
    case 'webp':
      return image.webp({
        quality: encoding.quality,
        effort: encoding.effort,
        smartSubsample: encoding.smartSubsample,
      })
    case 'avif':
      return image.avif({
        quality: encoding.quality,
        effort: encoding.effort,
        chromaSubsampling: encoding.chroma444 ? '4:4:4' : '4:2:0',
        tune: encoding.tune,
      })
    case 'gif':
      return image.gif()
    case 'tiff':
      // Without loss, in the way that every reader of TIFF knows.
      return image.tiff({ compression: 'lzw', predictor: 'horizontal' })
  }
}
