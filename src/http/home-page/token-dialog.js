import { $ } from './dom.js'
import { keepToken, tryToken } from './server.js'

let answer

/**
 * Asks for the upload token. A dialog that is open already is shared.
 * @param message What the token is for, or why the last one was refused.
 * @param isRefused Whether it was.
 * @returns whether one was given.
 */
export function askForToken(message, isRefused = false) {
  $('ask-text').textContent = message
  $('ask-text').className = isRefused ? 'wrong' : ''
  if (answer) return answer.promise
  answer = Promise.withResolvers()
  $('token').value = ''
  $('ask').showModal()
  $('token').focus()
  return answer.promise
}

function closeDialog(isGiven) {
  const { resolve } = answer ?? {}
  answer = undefined
  $('ask').close()
  resolve?.(isGiven)
}

export function prepareTokenDialog() {
  $('token-form').onsubmit = (event) => {
    event.preventDefault()
    const token = $('token').value.trim()
    if (token === '') return
    keepToken('')
    tryToken(token)
    closeDialog(true)
  }
  $('ask-cancel').onclick = () => closeDialog(false)
  $('ask').oncancel = (event) => {
    event.preventDefault()
    closeDialog(false)
  }
}
