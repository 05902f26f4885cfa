import { createHash } from 'node:crypto'

const MAX_ID = 2 ** 31 - 1

/**
 * The id of a node's server in HAProxy, by which requests are placed: fronts agree on the node of a picture if they agree on ids.
 *
 * @param name Of the node.
 * @returns 1 to 2³¹ - 1.
 */
export function serverId(name: string): number {
  return (createHash('sha256').update(name).digest().readUInt32BE() % MAX_ID) + 1
}
