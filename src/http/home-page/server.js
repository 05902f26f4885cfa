import { $ } from './dom.js'

/** Public facts of the node: uploads, limits, policy. */
export const FACTS = JSON.parse($('server-facts').textContent)

/** The upload token. A new one is kept for the tab once the server has accepted it. */
const keep = { typed: '' }

export function currentToken() {
  if (keep.typed !== '') return keep.typed
  try {
    return sessionStorage.token ?? ''
  } catch {
    // Storage can be disabled: the typed token remains.
    return ''
  }
}

/** For this page only, until `keepToken`. */
export function tryToken(token) {
  keep.typed = token
}

export function keepToken(token) {
  keep.typed = token
  try {
    if (token === '') delete sessionStorage.token
    else sessionStorage.token = token
  } catch {
    // Storage can be disabled: the typed token remains.
  }
}

function bearer(token) {
  return token === '' ? {} : { Authorization: `Bearer ${token}` }
}

/** Uploads a file. @param onProgress Is called with the sent share, 0 to 1. @returns status (0: no connection) and answer. */
export function sendFile(file, token, { onProgress, signal }) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest()
    request.open('POST', '/images')
    request.setRequestHeader('Content-Type', file.type.startsWith('image/') ? file.type : 'application/octet-stream')
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total)
    request.onloadend = () => resolve({ status: request.status, answer: parse(request.responseText) })
    signal.addEventListener('abort', () => request.abort())
    try {
      for (const [name, value] of Object.entries(bearer(token))) request.setRequestHeader(name, value)
      request.send(file)
    } catch {
      resolve({ status: 401, answer: { message: 'The token contains invalid characters' } })
    }
  })
}

/** Reads JSON with the token. @returns status (0: no connection) and answer. */
export async function readJson(path) {
  try {
    const response = await fetch(path, { headers: bearer(currentToken()) })
    return { status: response.status, answer: parse(await response.text()) }
  } catch {
    return { status: 0, answer: {} }
  }
}

/** As an image element of a modern browser says it. */
const ACCEPT = 'image/avif,image/webp,image/apng,image/*,*/*;q=0.8'

/**
 * Fetches a rendition past the browser's cache.
 * @returns url: canonical, without the origin; blob, milliseconds, timing: `Server-Timing`. Or message: of the server.
 */
export async function fetchRendition(path) {
  const began = performance.now()
  try {
    const response = await fetch(path, { cache: 'no-store', headers: { Accept: ACCEPT } })
    if (!response.ok) return { message: failureText(response.status, parse(await response.text())) }
    const blob = await response.blob()
    const { pathname, search } = new URL(response.url)
    const timing = timingText(response.headers.get('Server-Timing') ?? '')
    return { url: pathname + search, blob, milliseconds: performance.now() - began, timing }
  } catch {
    return { message: failureText(0, {}) }
  }
}

/** @example timingText('cache;desc="miss", node;dur=41.2') // 'cache: miss, node: 41.2 ms' */
function timingText(header) {
  return header.replaceAll(/(\w+);desc="([^"]*)"/g, '$1: $2').replaceAll(/(\w+);dur=([\d.]+)/g, '$1: $2 ms')
}

export function failureText(status, { message }) {
  if (status === 0) return 'The server could not be reached; try again'
  return message ?? `The request failed with status ${status}`
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
