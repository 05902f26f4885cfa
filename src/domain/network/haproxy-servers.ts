import { serverId } from './server-id.ts'

/** A server of HAProxy, as its runtime socket shows it. */
export interface HaproxyServer {
  readonly backend: string
  readonly name: string
  readonly id: number
  /** Absent: HAProxy has no address for it. */
  readonly address?: string
  readonly port: number
  /** By the checks, or not checked yet. */
  readonly isUp: boolean
  /** At least one check has ended since the server was added. */
  readonly isChecked: boolean
  /** 0: it gets no new requests. */
  readonly weight: number
  /** Taken out of service by `set server … state maint`, or never put into service. */
  readonly inMaintenance: boolean
  /** By `set server … state drain`. */
  readonly isDrained: boolean
}

const VERSION = '1'
/** SRV_ADMF_* of HAProxy's server-t.h. */
const MAINTENANCE = 0x01 | 0x02 | 0x04 | 0x20 | 0x40
const DRAIN = 0x08 | 0x10
/** SRV_ST_STOPPED. */
const STOPPED = '0'
/** CHK_RES_UNKNOWN. */
const UNKNOWN = '0'

/**
 * Reads the answer to `show servers state`.
 *
 * @returns undefined if it is another text, such as an error of HAProxy.
 * @see https://docs.haproxy.org/2.6/management.html#9.3-show%20servers%20state
 */
export function parseHaproxyServers(text: string): readonly HaproxyServer[] | undefined {
  const [version, header = '', ...rows] = text.trim().split('\n')
  const names = header.replace(/^# /, '').split(' ')
  if (version !== VERSION || !names.includes('srv_id')) return undefined
  return rows.filter((row) => row !== '').map((row) => serverOf(names, row.split(' ')))
}

function serverOf(names: readonly string[], values: readonly string[]): HaproxyServer {
  const value = (name: string): string => values[names.indexOf(name)] ?? ''
  const admin = Number(value('srv_admin_state'))
  const address = value('srv_addr')
  return {
    backend: value('be_name'),
    name: value('srv_name'),
    id: Number(value('srv_id')),
    ...(address !== '-' && { address }),
    port: Number(value('srv_port')),
    isUp: value('srv_op_state') !== STOPPED,
    isChecked: value('srv_check_result') !== UNKNOWN,
    weight: Number(value('srv_uweight')),
    inMaintenance: (admin & MAINTENANCE) !== 0,
    isDrained: (admin & DRAIN) !== 0,
  }
}

/** Whether the id is the one that a name has on every front. Servers of the configuration with other ids belong to the operator. */
export function isFrontServer({ name, id }: Pick<HaproxyServer, 'name' | 'id'>): boolean {
  return id === serverId(name)
}
