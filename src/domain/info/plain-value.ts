/** A JSON value. */
export type PlainValue = string | number | boolean | readonly PlainValue[] | PlainGroup
export interface PlainGroup {
  readonly [name: string]: PlainValue
}

/** A cleaned group, and whether anything was cut or omitted because of its size. */
export interface Bounded {
  readonly group: PlainGroup
  readonly cut: boolean
}

const MAX_TEXT = 2000
const MAX_ITEMS = 64
const MAX_DEPTH = 6
const MAX_NAME = 64
/** Letters, digits and the punctuation of standard names: `By-line`, `Caption/Abstract`, `en-US`. */
const NAME = /^[\p{L}\p{N} .:/()_-]+$/u
/** A program that copies members by name would set the prototype of its object. */
const FORBIDDEN_NAMES = new Set(['__proto__', 'constructor', 'prototype'])
/** A picture in base64 (JPEG, PNG): its own header may contain a location. */
const EMBEDDED = /^\s*(?:\/9j\/|iVBORw0KGgo)/

/**
 * Cleans metadata for responses: no texts with coordinates, no control characters, no lone surrogates, no embedded
 * pictures, no dangerous names, and at most `maxBytes` of JSON. The allow-list of tags was applied before.
 *
 * @param maxBytes For the whole group as JSON in UTF-8. Members are included in order while they fit.
 */
export function boundGroup(group: PlainGroup, maxBytes: number): Bounded {
  const state: Budget = { left: maxBytes - 2, cut: false }
  const bounded = boundMembers(group, 0, state)
  return { group: bounded, cut: state.cut }
}

interface Budget {
  left: number
  cut: boolean
}

function boundMembers(group: PlainGroup, depth: number, budget: Budget): PlainGroup {
  const members: [string, PlainValue][] = []
  for (const [name, value] of Object.entries(group)) {
    if (name.length > MAX_NAME || !NAME.test(name) || FORBIDDEN_NAMES.has(name)) continue
    // Including its quotes, the colon and the comma.
    const overhead = Buffer.byteLength(name) + 4
    const bounded = boundValue(value, depth, budget, overhead)
    if (bounded !== undefined) members.push([name, bounded])
  }
  return Object.fromEntries(members)
}

/** @returns undefined for an empty or forbidden value, or one that does not fit; the budget is then unchanged. */
function boundValue(value: PlainValue, depth: number, budget: Budget, overhead: number): PlainValue | undefined {
  if (typeof value === 'object') {
    if (depth >= MAX_DEPTH || overhead + 2 > budget.left) {
      budget.cut = true
      return undefined
    }
    const before = budget.left
    budget.left -= overhead + 2
    const inner = isList(value) ? boundItems(value, depth + 1, budget) : boundMembers(value, depth + 1, budget)
    if (Object.keys(inner).length > 0) return inner
    budget.left = before
    return undefined
  }
  // JSON has no negative zero.
  const bounded = typeof value === 'string' ? boundText(value, budget) : typeof value === 'number' ? value + 0 : value
  if (bounded === undefined || (typeof bounded === 'number' && !Number.isFinite(bounded))) return undefined
  const cost = overhead + Buffer.byteLength(JSON.stringify(bounded))
  if (cost > budget.left) {
    budget.cut = true
    return undefined
  }
  budget.left -= cost
  return bounded
}

function boundItems(values: readonly PlainValue[], depth: number, budget: Budget): readonly PlainValue[] {
  if (values.length > MAX_ITEMS) budget.cut = true
  return values.slice(0, MAX_ITEMS).flatMap((value) => boundValue(value, depth, budget, 1) ?? [])
}

function boundText(text: string, budget: Budget): string | undefined {
  // Checked before it is cut: half of a coordinate still reveals a location.
  if (EMBEDDED.test(text) || saysPlace(text)) return undefined
  const clean = tidyText(text)
  if (clean === '') return undefined
  if (clean.length <= MAX_TEXT) return clean
  budget.cut = true
  return clean.slice(0, MAX_TEXT).toWellFormed()
}

/** Text without control characters, except line ends, and without lone surrogates. */
export function tidyText(text: string): string {
  return text
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/[^\P{Cc}\n\t]/gu, ' ')
    .toWellFormed()
    .trim()
}

/** A type guard: the compiler does not narrow readonly arrays. */
export function isList(value: PlainValue): value is readonly PlainValue[] {
  return Array.isArray(value)
}

/** Whether a value is plain JSON of limited depth. */
export function isPlainValue(value: unknown, depth = 0): value is PlainValue {
  if (typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH + 1) return false
  return Object.values(value).every((inner) => isPlainValue(inner, depth + 1))
}

const DEGREES = /^\s*[+-]?\d{1,3}(?:[,°]\s*\d{1,2}(?:\.\d+)?(?:[,'′]\s*\d{1,2}(?:\.\d+)?["″]?)?)\s*['′]?\s*[NSEW]\s*$/i
/** ISO 6709: latitude, longitude and optional further parts, such as `+51.4778-000.0015/`. */
const ISO_6709 = /^\s*[+-]\d{2,6}(?:\.\d+)?[+-]\d{3,7}(?:\.\d+)?/
const DECIMAL_PAIR = /^\s*[+-]?\d{1,2}\.\d{3,}\s*[NS]?\s*[,;\s]\s*[+-]?\d{1,3}\.\d{3,}\s*[EW]?\s*$/i
const NAMED = /gps[\s_-]*(?:lat|lon|alt|pos|coord|[:=\d])|\b(?:latitude|longitude|lat|lng|lon)\b["']?\s*[:=]|\bgeo:/i

/** Whether a text contains coordinates in one of the common notations, or mentions them. */
export function saysPlace(text: string): boolean {
  return DEGREES.test(text) || ISO_6709.test(text) || DECIMAL_PAIR.test(text) || NAMED.test(text)
}
