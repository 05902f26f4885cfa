import { z } from 'zod'
import { parseAddressBlock } from '../domain/network/ip-address.ts'
import { isNodeAddress, isNodeName } from '../domain/stored/node-entry.ts'
import { facts, list } from './fields.ts'

/** Settings of a node as one of several. */
export const CLUSTER = {
  NODE_NAME: z
    .string()
    .refine(
      (name) => name === '' || isNodeName(name),
      'should have at most 100 letters, digits, dots, hyphens and underscores, and begin with a letter or digit, such as node1',
    )
    .default('')
    .meta(
      facts({
        about:
          'Name of this node among the nodes of the store, under which it registers as nodes/<name>.json. A second node with the name of a running one does not start. Fronts place pictures by it, so keep it when the node is replaced.',
        allowed: 'letters, digits, dots, hyphens and underscores',
        whenUnset: 'host name and PORT, such as img1-8080',
      }),
    ),
  NODE_ADDRESS: z
    .string()
    .refine(
      (address) => address === '' || isNodeAddress(address),
      'should be a host and a port that speaks HTTP, such as 10.0.0.5:80 or [fd00::5]:80',
    )
    .default('')
    .meta(
      facts({
        about:
          'Address at which fronts and other nodes reach this node: that of its nginx, if it has one, on a port that speaks HTTP. A node registers if it accepts uploads, and STORE is a bucket or this is set.',
        allowed: '<host>:<port>, such as 10.0.0.5:80',
        whenUnset: 'registered without an address: npm run front does not add it, and other nodes send it no hints',
      }),
    ),
  TRUSTED_NETWORKS: list(
    parseAddressBlock,
    { preset: '127.0.0.0/8 ::1 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7' },
    {
      about:
        'Networks whose machines may tell this node to look for deletions at once (POST /peers/hint). Every address in X-Forwarded-For has to be in them too. A hint carries nothing, and starts at most 20 listings a second; without hints, nodes poll every 0.75 s.',
      allowed: 'addresses and CIDR blocks such as 10.1.0.0/16, separated by spaces',
      whenUnset: 'loopback and private networks',
    },
  ),
} as const
