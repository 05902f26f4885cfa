/** The element with this id. */
export const $ = (id) => document.getElementById(id)

/** A new element. */
export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

const SHOWN_MS = 6000
const message = { timer: undefined }

/** Says that something was done, for a few seconds. */
export function say(text) {
  showMessage('say', text)
  message.timer = setTimeout(() => $('say').replaceChildren(), SHOWN_MS)
}

/** Says that something failed, until the next message. */
export function complain(text) {
  showMessage('wrong', text)
}

/** In a new element each time, as an old one would move. */
function showMessage(id, text) {
  clearTimeout(message.timer)
  for (const place of ['say', 'wrong'])
    $(place).replaceChildren(...(place === id ? [make('span', { textContent: text })] : []))
}

/** @example sizeText(144947) // '141.5 KiB' */
export function sizeText(bytes) {
  if (bytes < 1024) return `${bytes} bytes`
  const isLarge = bytes >= 1024 * 1024
  const amount = bytes / (isLarge ? 1024 * 1024 : 1024)
  return `${Number(amount.toFixed(1))} ${isLarge ? 'MiB' : 'KiB'}`
}
