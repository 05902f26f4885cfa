import { parseJson } from '../text/json-text.ts'
import { NODES_PREFIX } from './store-layout.ts'

/** States of a member. Only a ready one should get new requests. */
const NODE_STATES = ['ready', 'not-ready', 'draining'] as const
export type NodeState = (typeof NODE_STATES)[number]

/** What a node tells about itself in the store, rewritten every few seconds and removed at a clean stop. */
export interface NodeEntry {
  /** See `isNodeName`. */
  readonly name: string
  /** `host:port` at which fronts and peers reach it. Absent: NODE_ADDRESS is not set. */
  readonly address?: string
  /** Of Darkroom. */
  readonly version: string
  readonly state: NodeState
  /** 8 hex digits that no other process has. */
  readonly process: string
  /** Renders at the same time. */
  readonly capacity: number
  /** By the clock of the node, ISO 8601. */
  readonly time: string
  /** The process in terms of its machine. Absent where the machine does not tell. */
  readonly owner?: ProcessOwner
  /** How far it is behind, by kind; each name ends with its unit. */
  readonly lag: Readonly<Record<string, number>>
  /** Its work, by kind; each name ends with its unit. */
  readonly load: Readonly<Record<string, number>>
}

/** Tells other processes of the same machine whether a process lives. */
export interface ProcessOwner {
  /** Of the boot of the machine and the process namespace: process ids of another one mean nothing. */
  readonly boot: string
  readonly pid: number
  /** Start of the process in clock ticks since the boot, because process ids are used again. */
  readonly started: string
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** Letters, digits, dots, hyphens and underscores, at most 100: a key of the store, and a name of a server in HAProxy. */
export function isNodeName(text: string): boolean {
  return NAME.test(text)
}

/** The inverse of `nodeKey`. @returns undefined for any other key. */
export function parseNodeKey(key: string): string | undefined {
  const name = key.startsWith(NODES_PREFIX) && key.endsWith('.json') ? key.slice(NODES_PREFIX.length, -5) : ''
  return isNodeName(name) ? name : undefined
}

const ADDRESS = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]):(?<port>[1-9]\d{0,4})$/

/** `host:port`, where the host is a name, an IPv4 address, or an IPv6 address in brackets. */
export function isNodeAddress(text: string): boolean {
  const port = Number(ADDRESS.exec(text)?.groups?.['port'] ?? Number.NaN)
  return port <= 65_535 && URL.canParse(`http://${text}/`)
}

export function formatNodeEntry(entry: NodeEntry): string {
  return `${JSON.stringify(entry)}\n`
}

/** The inverse of `formatNodeEntry`; fields of later versions are ignored. @returns undefined for anything else. */
export function parseNodeEntry(text: string): NodeEntry | undefined {
  const fields = recordOf(parseJson(text))
  const { name, address, version, process, capacity, time } = fields
  const state = NODE_STATES.find((known) => known === fields['state'])
  const isValid =
    typeof name === 'string' &&
    isNodeName(name) &&
    (address === undefined || (typeof address === 'string' && isNodeAddress(address))) &&
    typeof version === 'string' &&
    typeof process === 'string' &&
    typeof capacity === 'number' &&
    typeof time === 'string' &&
    !Number.isNaN(Date.parse(time))
  if (!isValid || state === undefined) return undefined
  const owner = parseOwner(recordOf(fields['owner']))
  return {
    name,
    ...(address !== undefined && { address }),
    version,
    state,
    process,
    capacity,
    time,
    ...(owner !== undefined && { owner }),
    lag: numbersOf(fields['lag']),
    load: numbersOf(fields['load']),
  }
}

function parseOwner({ boot, pid, started }: Readonly<Record<string, unknown>>): ProcessOwner | undefined {
  if (typeof boot !== 'string' || typeof pid !== 'number' || typeof started !== 'string') return undefined
  return Number.isSafeInteger(pid) && pid > 0 ? { boot, pid, started } : undefined
}

function numbersOf(value: unknown): Readonly<Record<string, number>> {
  const entries = Object.entries(recordOf(value))
  return Object.fromEntries(entries.flatMap(([name, each]) => (typeof each === 'number' ? [[name, each]] : [])))
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
