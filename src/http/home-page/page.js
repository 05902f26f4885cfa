import { codeFor } from './code.js'
import { compare, prepareComparison } from './compare.js'
import { $, complain, say } from './dom.js'
import { showRecord } from './record.js'
import { prepareRenditions, showRenditions } from './renditions.js'
import { currentToken, FACTS, failureText, keepToken, readJson } from './server.js'
import { askForToken, prepareTokenDialog } from './token-dialog.js'
import { addFiles, addOpenedRow } from './uploads.js'

/** The image that is shown, and its latest rendition. */
const current = { record: undefined, rendition: undefined }

function show(record) {
  current.record = record
  current.rendition = undefined
  $('result').hidden = false
  for (const id of ['tag', 'picture-code', 'css-code', 'markdown-code']) $(id).value = ''
  showRenditions(record)
  void showRecord(record)
}

function writeCode() {
  const { record, rendition } = current
  if (!record || !rendition) return
  const kind = $('layout-kind').value
  $('card-field').hidden = kind !== 'fixed'
  $('sizes-field').hidden = kind !== 'own'
  const width = Math.max(1, Math.round(Number($('card').value)) || 300)
  const layout = { kind, width, sizes: $('sizes').value, alt: $('alt').value }
  const code = codeFor(record, rendition, layout, { origin: location.origin, policy: FACTS.policy, steps: FACTS.steps })
  $('tag').value = code.img
  $('picture-code').value =
    code.picture ||
    'Each format of a <picture> needs a URL that is signed for it: see docs/signing.md.\nThe URL of the <img> selects the best format already.'
  $('css-code').value = code.css
  $('markdown-code').value = code.markdown
  const negotiated =
    rendition.extension === '' ? 'Its URL has no extension: each client gets the best format that it accepts. ' : ''
  const enlarged = code.isEnlarged ? 'The browser enlarges it: no rendition is that wide. ' : ''
  const eager = 'Remove loading="lazy" from images that are visible before scrolling.'
  $('code-text').textContent = `For ${rendition.spec}${rendition.extension}. ${negotiated}${enlarged}${eager}`
}

async function open(id) {
  const given = currentToken()
  const { status, answer } = await readJson(`/images/${encodeURIComponent(id)}`)
  if (status === 401) {
    const why = given === '' ? 'Access to the record requires a token' : failureText(401, answer)
    if (await askForToken(why, given !== '')) await open(id)
    return
  }
  if (status !== 200) {
    complain(failureText(status, answer))
    return
  }
  addOpenedRow(answer, () => show(answer))
  show(answer)
  say(`Image ${answer.id.slice(0, 12)} is open`)
}

/** @param files Of a drop, a paste or the file field. */
function take(files) {
  if (files.length === 0) return
  if (FACTS.canUpload) addFiles([...files], show)
  else complain('This node is read-only: it has no upload tokens (UPLOAD_TOKENS)')
}

/** The link that a node prints at its start ends in #token=…, which should not remain in the address bar. */
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token')
  if (!token) return
  history.replaceState(null, '', location.pathname + location.search)
  keepToken(token)
  if ($('ask').open) $('ask-cancel').click()
  say('The token of the link is set for this tab')
}

async function copy({ currentTarget: button }) {
  const field = $(button.dataset.of)
  field.select()
  try {
    await navigator.clipboard.writeText(field.value)
  } catch {
    // The clipboard needs HTTPS; the old command does not.
    document.execCommand('copy')
  }
  say(`${button.textContent.replace('Copy ', '')}: copied`)
}

prepareTokenDialog()
prepareComparison()
prepareRenditions({
  onRendition(rendition) {
    current.rendition = rendition
    writeCode()
  },
  onPair: (a, b) => void compare(a, b),
})
takeToken()
addEventListener('hashchange', takeToken)

$('file').onchange = () => {
  take($('file').files)
  $('file').value = ''
}
$('open').onsubmit = (event) => {
  event.preventDefault()
  void open($('id').value.trim())
}
$('set-token').onclick = async () => {
  if (!(await askForToken('It authorizes uploads and shows embedded metadata.'))) return
  say('The token is set for this page')
  if (current.record) void showRecord(current.record)
}
$('layout').oninput = writeCode
$('layout').onsubmit = (event) => event.preventDefault()
for (const button of document.querySelectorAll('.copy')) button.onclick = copy
addEventListener('paste', (event) => take(event.clipboardData.files))
addEventListener('dragover', (event) => {
  event.preventDefault()
  $('drop').className = 'over'
})
addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) $('drop').className = ''
})
addEventListener('drop', (event) => {
  event.preventDefault()
  $('drop').className = ''
  if (event.dataTransfer.files.length > 0) take(event.dataTransfer.files)
  else complain('Not a file: drop an image file')
})
