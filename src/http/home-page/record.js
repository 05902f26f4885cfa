import { $, make, sizeText } from './dom.js'
import { decodeBlurHash, decodeThumbHash } from './placeholders.js'
import { currentToken, FACTS, failureText, readJson } from './server.js'

/** Members of the info that need a token. */
const EMBEDDED = ['capturedAt', 'camera', 'artist', 'copyright', 'caption', 'gps', 'metadata', 'metadataCut']

const shown = { id: '' }

/** Shows the record of an image, and then what the server measures and the file says. */
export async function showRecord(record) {
  shown.id = record.id
  $('facts').replaceChildren(...definitions(recordFacts(record)))
  for (const id of ['thumbhash', 'blurhash', 'colour'])
    draw(id, { width: 1, height: 1, rgba: new Uint8ClampedArray(4) })
  $('metadata').textContent = ''
  $('metadata-text').textContent = 'Reading the metadata'
  const { status, answer } = await readJson(`/images/${record.id}/info`)
  if (shown.id !== record.id) return
  if (status !== 200) {
    $('metadata-text').textContent = failureText(status, answer)
    return
  }
  $('facts').replaceChildren(...definitions({ ...recordFacts(record), ...measuredFacts(answer) }))
  drawPlaceholders(answer)
  showEmbedded(answer)
}

function recordFacts({ id, width, height, format, alpha, frames, bytes, uploadedAt }) {
  const animation = frames > 1 ? `, ${frames} frames` : ''
  return {
    Id: id,
    Size: `${width} × ${height} pixels`,
    Format: `${format}${alpha ? ', with transparency' : ''}${animation}`,
    Bytes: `${bytes.toLocaleString('en')} (${sizeText(bytes)})`,
    Uploaded: new Date(uploadedAt).toLocaleString(),
  }
}

function measuredFacts({ stored, orientation, colorSpace, iccProfile, bitsPerSample, ...info }) {
  return {
    Stored: `${stored.width} × ${stored.height}, EXIF orientation ${orientation}`,
    Colours: `${colorSpace}${iccProfile ? `, ${iccProfile}` : ''}, ${bitsPerSample} bits`,
    Dominant: info.dominantColor,
    ThumbHash: info.thumbHash,
    BlurHash: info.blurHash,
    Perceptual: info.perceptualHash,
  }
}

function definitions(facts) {
  return Object.entries(facts).flatMap(([name, value]) => [
    make('dt', { textContent: name }),
    make('dd', { textContent: value }),
  ])
}

function drawPlaceholders({ width, height, thumbHash, blurHash, dominantColor }) {
  const scale = 32 / Math.max(width, height)
  draw('thumbhash', decodeThumbHash(thumbHash))
  draw(
    'blurhash',
    decodeBlurHash(blurHash, Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))),
  )
  const rgb = [1, 3, 5].map((at) => Number.parseInt(dominantColor.slice(at, at + 2), 16))
  draw('colour', { width: 1, height: 1, rgba: Uint8ClampedArray.from([...rgb, 255]) })
}

function draw(id, { width, height, rgba }) {
  const canvas = $(id)
  Object.assign(canvas, { width, height })
  canvas.getContext('2d').putImageData(new ImageData(rgba, width, height), 0, 0)
}

function showEmbedded(info) {
  const found = Object.fromEntries(
    EMBEDDED.filter((name) => info[name] !== undefined).map((name) => [name, info[name]]),
  )
  const isTrusted = info.metadata !== undefined
  $('metadata').textContent = isTrusted ? JSON.stringify(found, undefined, 2) : ''
  $('metadata-text').textContent = isTrusted
    ? 'EXIF, IPTC and XMP of the original. Renditions contain none of it.'
    : withoutToken()
}

function withoutToken() {
  if (!FACTS.canUpload) return 'This node shows no embedded metadata: it has no upload tokens.'
  return currentToken() === ''
    ? 'Embedded metadata (EXIF, IPTC, XMP) requires the upload token: set it above.'
    : 'The upload token is not valid: set another one above.'
}
