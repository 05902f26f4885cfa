import { $, make, sizeText } from './dom.js'

/** Side of the bitmaps whose difference is measured. */
const MEASURED_SIDE = 512

export function prepareComparison() {
  for (const view of document.querySelectorAll('input[name=view]')) {
    view.onchange = () => {
      $('compare').dataset.view = view.value
    }
  }
  $('split').oninput = () => $('compare').style.setProperty('--split', `${$('split').value}%`)
}

/** Shows two renditions, absent until there are two. */
export async function compare(a, b) {
  const isPair = a !== undefined && b !== undefined
  $('pair').replaceChildren(...(isPair ? pictures(a, b) : []))
  if (!isPair) {
    $('comparison').textContent = 'Render a second one to compare the two, or choose A and B in the list.'
    return
  }
  const name = ({ spec, extension, type, blob }) => `${spec}${extension} (${type}, ${sizeText(blob.size)})`
  const text = `A: ${name(a)}. B: ${name(b)}. ${shareText(a.blob.size, b.blob.size)}`
  $('comparison').textContent = text
  const difference = await meanDifference(a, b)
  if ($('comparison').textContent !== text || difference === undefined) return
  $('comparison').textContent = `${text} Mean difference of the pixels: ${difference.toFixed(2)} of 255.`
}

/** New elements, as old ones would move. The smaller picture is enlarged to the larger one, and both no further. */
function pictures(a, b) {
  const shown = [
    make('img', { id: 'one', alt: 'Rendition A', src: a.blobUrl }),
    make('img', { id: 'two', alt: 'Rendition B', src: b.blobUrl }),
  ]
  for (const { style } of shown) {
    style.maxWidth = `${Math.max(a.width, b.width)}px`
    style.maxHeight = `${Math.max(a.height, b.height)}px`
  }
  return shown
}

function shareText(a, b) {
  if (a === b) return 'Both have the same size.'
  const percent = Math.round((Math.abs(b - a) / a) * 100)
  return `B is ${percent} % ${b < a ? 'smaller' : 'larger'}.`
}

/** Over the colours of both, scaled to one size. @returns undefined for pictures of different shapes. */
async function meanDifference(a, b) {
  const scale = Math.min(1, MEASURED_SIDE / Math.max(a.width, a.height, b.width, b.height))
  const width = Math.max(1, Math.round(Math.min(a.width, b.width) * scale))
  const height = Math.max(1, Math.round(Math.min(a.height, b.height) * scale))
  if (Math.abs(a.width / a.height - b.width / b.height) > 0.02 * (a.width / a.height)) return undefined
  const [one, two] = await Promise.all([a, b].map(({ blob }) => pixelsIn(blob, width, height)))
  let sum = 0
  for (let index = 0; index < one.length; index += 1) {
    if (index % 4 !== 3) sum += Math.abs(one[index] - two[index])
  }
  return sum / ((one.length / 4) * 3)
}

async function pixelsIn(blob, width, height) {
  const bitmap = await createImageBitmap(blob, { resizeWidth: width, resizeHeight: height, resizeQuality: 'high' })
  const context = new OffscreenCanvas(width, height).getContext('2d')
  context.drawImage(bitmap, 0, 0)
  return context.getImageData(0, 0, width, height).data
}
