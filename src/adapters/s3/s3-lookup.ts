import { type LookupAddress, type LookupOptions } from 'node:dns'
import { lookup } from 'node:dns/promises'
import type { LookupFunction } from 'node:net'

type AskForAddresses = (hostname: string, options: LookupOptions) => Promise<LookupAddress[]>

/**
 * Looks up the name of a server once at a time, for all connections that are being made. `getaddrinfo` takes a thread of
 * libuv's few for as long as silent DNS servers like: with one for each call, files would wait for DNS.
 */
export function createSharedLookup(ask: AskForAddresses = askSystem): LookupFunction {
  const flights = new Map<string, Promise<LookupAddress[]>>()

  function addresses(hostname: string, { family = 0, hints = 0 }: LookupOptions): Promise<LookupAddress[]> {
    const key = `${hostname} ${family} ${hints}`
    const flight = flights.get(key) ?? ask(hostname, { family, hints }).finally(() => flights.delete(key))
    flights.set(key, flight)
    return flight
  }

  return (hostname, options, callback) => {
    addresses(hostname, options).then(
      (found) => {
        const [first] = found
        if (options.all === true || first === undefined) callback(null, found)
        else callback(null, first.address, first.family)
      },
      (error: unknown) => callback(error instanceof Error ? error : new Error('No address', { cause: error }), []),
    )
  }
}

function askSystem(hostname: string, options: LookupOptions): Promise<LookupAddress[]> {
  return lookup(hostname, { ...options, all: true })
}
