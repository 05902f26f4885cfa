import { $, complain, make, say, sizeText } from './dom.js'
import { currentToken, FACTS, failureText, keepToken, sendFile } from './server.js'
import { askForToken } from './token-dialog.js'

const MOST_AT_ONCE = 3
/** waiting: files that wait for their turn, or for the token. asked: how often the user has answered the question for it. */
const queue = { waiting: [], running: 0, isAsking: false, asked: 0 }

/**
 * Uploads files, a few at a time, each with a row of its own.
 * @param show Is called with the record of the first one that is stored, and of those that the user selects.
 */
export function addFiles(files, show) {
  const batch = { show, hasShown: false }
  for (const file of files) {
    const item = { file, row: addRow(file.name), batch }
    const mistake = mistakeIn(file)
    if (mistake) setState(item, { text: mistake, isWrong: true })
    else enqueue(item)
  }
}

/** A row of the list, without an upload. */
export function addOpenedRow(record, show) {
  const item = { row: addRow(record.id.slice(0, 12)) }
  setState(item, { text: `${record.width} × ${record.height} ${record.format}`, button: 'Show', act: show })
}

function mistakeIn({ size }) {
  if (size === 0) return 'The file is empty: choose an image'
  if (size <= FACTS.maxUploadBytes) return undefined
  return `The file has ${sizeText(size)}; the limit is ${sizeText(FACTS.maxUploadBytes)} (MAX_UPLOAD_BYTES)`
}

function addRow(name) {
  $('no-uploads').hidden = true
  const row = {
    state: make('span', { className: 'state' }),
    bar: make('progress', { max: 1, value: 0, ariaLabel: `Upload of ${name}` }),
    button: make('button', { type: 'button', className: 'plain', hidden: true }),
  }
  const title = make('span', { className: 'name', textContent: name, title: name })
  row.name = name
  $('upload-list').append(make('li', {}, title, row.state, row.button, row.bar))
  $('uploads').scrollTop = $('uploads').scrollHeight
  return row
}

/** @param button Its text; absent: none. progress: 0 to 1; absent: no bar. */
function setState({ row }, { text, isWrong = false, progress, button = '', act }) {
  row.state.textContent = text
  row.state.className = isWrong ? 'state wrong' : 'state'
  if (isWrong) complain(`${row.name}: ${text}`)
  row.bar.hidden = progress === undefined
  row.bar.value = progress ?? 0
  row.button.hidden = button === ''
  row.button.textContent = button
  row.button.ariaLabel = `${button} ${row.name}`
  row.button.onclick = act ?? null
}

function enqueue(item) {
  setState(item, { text: 'Waiting', progress: 0 })
  queue.waiting.push(item)
  pump()
}

function pump() {
  while (!queue.isAsking && queue.running < MOST_AT_ONCE && queue.waiting.length > 0) void upload(queue.waiting.shift())
}

async function upload(item) {
  queue.running += 1
  item.asked = queue.asked
  const token = currentToken()
  const stop = new AbortController()
  const cancel = { button: 'Cancel', act: () => stop.abort() }
  const onProgress = (progress) =>
    setState(item, { text: progress < 1 ? 'Uploading' : 'Storing the image', progress, ...cancel })
  onProgress(0)
  const { status, answer } = await sendFile(item.file, token, { onProgress, signal: stop.signal })
  queue.running -= 1
  if (stop.signal.aborted) setState(item, { text: 'Cancelled', ...retry(item) })
  else if (status === 200 || status === 201) finish(item, status, answer, token)
  else if (status === 401) await getToken(item, token, answer)
  else setState(item, { text: failureText(status, answer), isWrong: true, ...(isTemporary(status) && retry(item)) })
  pump()
}

/** The same file may be accepted later. 0: no connection. */
function isTemporary(status) {
  return status === 0 || status === 408 || status === 429 || status >= 500
}

function retry(item) {
  return { button: 'Retry', act: () => enqueue(item) }
}

function finish(item, status, record, token) {
  if (token) keepToken(token)
  const text = status === 201 ? 'Stored' : 'Already stored'
  const facts = `${record.width} × ${record.height} ${record.format}, ${sizeText(record.bytes)}`
  setState(item, { text: `${text}: ${facts}`, button: 'Show', act: () => item.batch.show(record) })
  say(`${item.row.name}: ${text}`)
  if (!item.batch.hasShown) item.batch.show(record)
  item.batch.hasShown = true
}

/** The upload waits meanwhile. Another one may have asked already, and the user may have answered since this one began. */
async function getToken(item, refused, answer) {
  if (item.asked !== queue.asked && refused === currentToken()) {
    giveUp(item)
    return
  }
  setState(item, { text: 'Waiting for the upload token', progress: 0 })
  queue.waiting.unshift(item)
  if (queue.isAsking || refused !== currentToken()) return
  queue.isAsking = true
  const why = refused === '' ? 'Uploading requires a token' : failureText(401, answer)
  const isGiven = await askForToken(why, refused !== '')
  queue.isAsking = false
  queue.asked += 1
  if (!isGiven) for (const held of queue.waiting.splice(0)) giveUp(held)
}

function giveUp(item) {
  setState(item, { text: 'Not uploaded: no token', isWrong: true, ...retry(item) })
}
