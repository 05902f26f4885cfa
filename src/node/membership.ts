import { hostname } from 'node:os'
import packageJson from '../../package.json' with { type: 'json' }
import { isProcessAlive, thisProcess } from '../adapters/machine/process-owner.ts'
import { sendHint } from '../adapters/peers/peer-hint.ts'
import { type Config, ConfigError } from '../config/env.ts'
import { isNodeName, type NodeEntry } from '../domain/stored/node-entry.ts'
import { createClaim } from '../service/members/claim.ts'
import { createHints, type Hints } from '../service/members/hints.ts'
import { createMembership, type Membership, NameTakenError } from '../service/members/membership.ts'
import { createRoll, type Roll } from '../service/members/roll.ts'
import type { Meter } from '../service/ports/meter.ts'
import type { ObjectStore } from '../service/ports/store.ts'
import type { Log } from '../telemetry/log.ts'
import { repeating } from './parts.ts'

/** What a node knows of the others. */
export interface Peers {
  /** Of this node. */
  readonly name: string
  readonly roll: Roll
  readonly hints: Hints
}

const RENEW_MS = 3000
/** For the last calls of a node that ends. */
const LEAVE_MS = 2000

/** @param process 8 hex digits that no other process has. */
export function createPeers(config: Config, store: ObjectStore, process: string): Peers {
  const name = nodeName(config, process)
  const roll = createRoll({ store, name, address: config.NODE_ADDRESS, now: () => performance.now() })
  return { name, roll, hints: createHints({ peers: () => roll.peers, send: sendHint }) }
}

/** With PORT=0, the system chooses the port after the node has registered. */
function nodeName({ NODE_NAME: given, PORT: port }: Config, process: string): string {
  if (given !== '') return given
  const host = hostname().replaceAll(/[^A-Za-z0-9._-]/g, '-')
  const name = `${host.slice(0, 90)}-${port === 0 ? process : port}`
  return isNodeName(name) ? name : `node-${process}`
}

export interface MembershipOptions {
  readonly config: Config
  readonly peers: Peers
  /** Identifies this process: 8 hex digits that no other one has. */
  readonly node: string
  readonly mayWrite: boolean
  readonly store: ObjectStore
  readonly meter: Meter
  readonly log: Log
  /** As of now. */
  readonly state: () => NodeEntry['state']
  readonly figures: () => Pick<NodeEntry, 'lag' | 'load'>
}

/** The membership of this node, and its parts in their order. */
export interface NodeMembership {
  /** Begins to register. */
  readonly joining: { start(): void }
  /** Waits until the node is registered. @throws ConfigError if another node has the name. */
  readonly joined: { start(): Promise<void> }
  /** Renews the entry while the node listens, and removes it at the end. */
  readonly member: { start(): void; stop(): Promise<void> }
  /** The state of the node has changed. */
  renew(): Promise<void>
  /** For operators: why other nodes cannot rely on the entry of this node. */
  readonly trouble: string | undefined
}

/** @returns undefined if the node does not register. */
export async function createNodeMembership(options: MembershipOptions): Promise<NodeMembership | undefined> {
  const { config, mayWrite } = options
  if (!mayWrite || (config.NODE_ADDRESS === '' && !config.STORE.startsWith('s3:'))) return undefined
  const membership = await membershipOf(options)
  const renewing = repeating(RENEW_MS, membership.tick)
  const ending = () => AbortSignal.timeout(LEAVE_MS)
  const never = new AbortController()
  let joining = Promise.resolve()
  return {
    joining: {
      start() {
        joining = membership.join(never.signal)
        // `joined` waits for it; a part that fails before must not leave it unhandled.
        joining.catch(() => undefined)
      },
    },
    joined: {
      async start() {
        await joining.catch((error: unknown) => {
          throw error instanceof NameTakenError ? new ConfigError(`NODE_NAME: ${error.message}`) : error
        })
      },
    },
    member: {
      start() {
        void renewing.start()
      },
      async stop() {
        never.abort(new Error('The node is shutting down'))
        await renewing.stop()
        await membership.leave(ending())
      },
    },
    renew: () => membership.renew(ending()),
    get trouble() {
      return membership.trouble
    },
  }
}

async function membershipOf({ config, ...options }: MembershipOptions): Promise<Membership> {
  const { peers, node, store, meter, log, state, figures } = options
  const owner = await thisProcess()
  const claim = createClaim({
    store,
    name: peers.name,
    process: node,
    isAlive: isProcessAlive,
    now: () => performance.now(),
    entry: () => ({
      name: peers.name,
      ...(config.NODE_ADDRESS !== '' && { address: config.NODE_ADDRESS }),
      version: packageJson.version,
      state: state(),
      process: node,
      capacity: config.RENDER_CONCURRENCY,
      time: new Date().toISOString(),
      ...(owner !== undefined && { owner }),
      ...figures(),
    }),
  })
  return createMembership({
    claim,
    roll: peers.roll,
    name: peers.name,
    meter,
    onLost: (message) => log.error({ other: claim.other }, message),
  })
}

/** For `GET /nodes`. */
export function memberWarnings(membership: NodeMembership | undefined): readonly string[] {
  if (membership === undefined) {
    return ['The node that answers is not registered, because STORE is a folder: set NODE_ADDRESS to register it']
  }
  return membership.trouble === undefined ? [] : [membership.trouble]
}
