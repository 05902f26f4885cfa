import { $, make, sizeText } from './dom.js'
import { FACTS, fetchRendition } from './server.js'
import { specOf, turnPoint, turnPointBack } from './spec.js'

const MOST_LISTED = 24
const CHECKS = ['up', 'flip', 'flop', 'gray', 'sharpen', 'still']
const TEXTS = ['width', 'height', 'fit', 'position', 'x', 'y', 'quality', 'density', 'rotate', 'blur', 'background']

/** The form makes any specification; otherwise one is chosen. */
const HAS_FORM = FACTS.policy === 'open' || FACTS.policy === 'steps'

/** The image whose renditions are shown, its renditions, and the ones to be compared. */
const studio = { record: undefined, list: [], asked: 0, onRendition: () => {}, onPair: () => {} }

/**
 * @param onRendition Is called with each new rendition: url, spec, extension, and the image of the page.
 * @param onPair Is called with the renditions A and B, where absent.
 */
export function prepareRenditions({ onRendition, onPair }) {
  Object.assign(studio, { onRendition, onPair })
  explainPolicy()
  $('builder').oninput = ({ target }) => {
    if (target !== $('spec')) writeSpec()
    placeMarker()
  }
  $('builder').onsubmit = (event) => {
    event.preventDefault()
    void render()
  }
  $('original').onclick = setFocalPoint
  $('original').onload = placeMarker
  addEventListener('resize', placeMarker)
  $('rendition-list').onchange = comparePair
}

/** Shows another image, and its first rendition. */
export function showRenditions(record) {
  for (const { blobUrl } of studio.list) URL.revokeObjectURL(blobUrl)
  Object.assign(studio, { record, list: [] })
  $('rendition-list').replaceChildren()
  $('picture').hidden = true
  $('picture-text').textContent = ''
  $('refusal').textContent = ''
  const { urls, width, height, bytes } = record
  $('shown-id').textContent = `of ${record.id.slice(0, 12)}…`
  $('original').src = pathOf(urls.src)
  $('original-text').textContent = `${width} × ${height}, ${sizeText(bytes)}`
  if (FACTS.policy === 'signed')
    offer(
      [...new Set([urls.src, ...urls.srcset.split(', ').map((entry) => entry.split(' ')[0])])]
        .filter(Boolean)
        .map(pathOf),
    )
  writeSpec()
  placeMarker()
  comparePair()
  void render()
}

function explainPolicy() {
  const texts = {
    open: `Any size up to ${FACTS.maxSide} pixels a side is served. Change the fields, or click on the original to set the focal point.`,
    list: 'This server serves the sizes of a list only (SIZE_POLICY=list), each in any format. Choose one of them.',
    steps: stepsText(),
    signed:
      'This server serves signed URLs only (SIZE_POLICY=signed): those in the record of the image, or ones that your application signs.',
  }
  $('policy').textContent = texts[FACTS.policy]
  for (const id of ['fields', 'effects']) $(id).hidden = !HAS_FORM
  $('offered-field').hidden = HAS_FORM
  $('format-field').hidden = FACTS.policy === 'signed'
  $('spec-field').hidden = FACTS.policy === 'signed'
  if (FACTS.policy === 'list') offer(FACTS.sizes)
}

/** The steps, and the options that a size of the list stands for. */
function stepsText() {
  const listed = FACTS.sizes.length === 0 ? '' : `, or as in ${FACTS.sizes.join(', ')}`
  return `This server rounds sizes up to steps (SIZE_POLICY=steps): ${FACTS.steps.join(', ')} pixels. Sizes have no options other than cover${listed}.`
}

function offer(values) {
  $('offered').replaceChildren(
    ...values.map((value) =>
      make('option', { value, textContent: value.replace(/^\/image\/[0-9a-f]+\//, '').replace(/\?.*/, '') }),
    ),
  )
}

function formValues() {
  const checks = CHECKS.map((name) => [name, $(name).checked])
  return Object.fromEntries([...TEXTS.map((name) => [name, $(name).value.trim()]), ...checks])
}

function writeSpec() {
  const format = $('format').value
  const spec = HAS_FORM ? specOf(formValues()) : $('offered').value
  $('spec').value = format === '' ? spec : `${spec}.${format}`
}

/** Where the stage shows the original: left, top, width and height in pixels of the stage. */
function originalBox() {
  const { clientWidth, clientHeight, naturalWidth, naturalHeight } = $('original')
  const scale = Math.min(1, clientWidth / naturalWidth, clientHeight / naturalHeight)
  const [width, height] = [naturalWidth * scale, naturalHeight * scale]
  return { left: (clientWidth - width) / 2, top: (clientHeight - height) / 2, width, height }
}

/** The picture keeps its point when it is rotated, so the marker shows where that point is in the original. */
function placeMarker() {
  const { position, x, y, ...turn } = formValues()
  const point = turnPointBack({ x: Number(x) / 100, y: Number(y) / 100 }, turn)
  const { left, top, width, height } = originalBox()
  $('marker').hidden = position !== 'focal' || !HAS_FORM || !(width > 0)
  $('marker').style.transform = `translate(${left + point.x * width}px, ${top + point.y * height}px)`
}

function setFocalPoint({ offsetX, offsetY }) {
  if (!HAS_FORM) return
  const { left, top, width, height } = originalBox()
  const within = (share) => Math.max(0, Math.min(1, share))
  const point = turnPoint({ x: within((offsetX - left) / width), y: within((offsetY - top) / height) }, formValues())
  $('x').value = Math.round(point.x * 100)
  $('y').value = Math.round(point.y * 100)
  $('position').value = 'focal'
  $('fit').value = 'cover'
  // A focal point needs a box to be cropped to.
  if ($('width').value === '') $('width').value = $('height').value || 400
  if ($('height').value === '') $('height').value = $('width').value
  writeSpec()
  placeMarker()
  void render()
}

async function render() {
  const { record } = studio
  const order = (studio.asked += 1)
  const path =
    FACTS.policy === 'signed'
      ? $('offered').value
      : `/image/${record.id}/${encodeURIComponent($('spec').value.trim()).replaceAll('%2C', ',')}`
  const rendition = await fetchRendition(path)
  if (order !== studio.asked || record !== studio.record) return
  if (rendition.message) {
    $('refusal').textContent = rendition.message
    return
  }
  const blobUrl = URL.createObjectURL(rendition.blob)
  const size = await pixelsOf(blobUrl)
  if (order !== studio.asked || record !== studio.record) return
  $('refusal').textContent = size ? '' : 'The browser could not display this rendition'
  if (size) add({ ...rendition, ...partsOf(rendition), blobUrl, ...size })
}

async function pixelsOf(blobUrl) {
  const image = make('img', { src: blobUrl })
  try {
    await image.decode()
  } catch {
    return undefined
  }
  return { width: image.naturalWidth, height: image.naturalHeight }
}

function partsOf({ url, blob }) {
  const { spec, extension = '' } =
    /^\/image\/[0-9a-f]+\/(?<spec>[^/?]+?)(?<extension>\.(?:avif|webp|jpg|png|gif))?(?:\?|$)/.exec(url)?.groups ?? {
      spec: 'full',
    }
  return { spec: decodeURIComponent(spec), extension, type: blob.type.replace('image/', '') }
}

function add(rendition) {
  const { spec, extension, type, width, height, blob, blobUrl, milliseconds, timing, url } = rendition
  const share = Math.round((blob.size / studio.record.bytes) * 100)
  const facts = `${type}, ${width} × ${height}, ${sizeText(blob.size)} (${share} % of the original), ${Math.round(milliseconds)} ms`
  const name = `${spec}${extension}`
  const link = make('a', { href: url, target: '_blank', rel: 'noopener', textContent: name })
  const text = make('span', { className: 'facts' }, link, make('br'), facts, make('br'), `Server-Timing: ${timing}`)
  const index = String(studio.list.length)
  const radio = (group) =>
    make(
      'label',
      {},
      make('input', { type: 'radio', name: group, value: index, ariaLabel: `${group} is ${name}` }),
      ` ${group}`,
    )
  const one = radio('A')
  const other = radio('B')
  studio.list.push(rendition)
  $('rendition-list').append(make('li', {}, text, one, other))
  if ($('rendition-list').children.length > MOST_LISTED) $('rendition-list').firstChild.remove()
  // By default, the latest two.
  const previous = $('rendition-list').querySelector('input[name=B]:checked')
  if (previous) $('rendition-list').querySelector(`input[name=A][value="${previous.value}"]`).checked = true
  other.firstChild.checked = true
  $('renditions').scrollTop = $('renditions').scrollHeight
  $('picture').src = blobUrl
  $('picture').hidden = false
  $('picture-text').textContent = `${type}, ${width} × ${height}, ${sizeText(blob.size)}`
  studio.onRendition(rendition)
  comparePair()
}

function comparePair() {
  const chosen = (group) => studio.list[$('rendition-list').querySelector(`input[name=${group}]:checked`)?.value]
  studio.onPair(chosen('A'), chosen('B'))
}

/** A URL of the record as a path of this node: PUBLIC_URL can be another origin, which the policy of the page forbids. */
function pathOf(url) {
  return url.slice(url.lastIndexOf('/image/'))
}
