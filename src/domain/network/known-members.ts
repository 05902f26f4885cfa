import type { FrontMember } from './front-plan.ts'

/** A member, and when it was last named, in milliseconds of a clock that is never set back. */
interface KnownMember {
  readonly member: FrontMember
  readonly namedAt: number
}

/** Members by name. */
export type KnownMembers = ReadonlyMap<string, KnownMember>

/**
 * Adds an answer to what is known: a member that is not named any more stays for a while, because some DNS servers name only
 * a part of the members in each answer, and checks find a node that is gone within seconds anyway.
 */
export function keepMembers(
  known: KnownMembers,
  named: readonly FrontMember[],
  { nowMs, keepMs }: { readonly nowMs: number; readonly keepMs: number },
): KnownMembers {
  const kept = [...known].filter(([, { namedAt }]) => nowMs - namedAt < keepMs)
  return new Map([...kept, ...named.map((member) => [member.name, { member, namedAt: nowMs }] as const)])
}

/**
 * The name of a member that has none of its own: `host-port`, as in the default of NODE_NAME. It depends on nothing else, so that
 * all fronts give it the same id.
 *
 * @param host An address, or the target of an SRV record.
 */
export function memberName(host: string, port: number): string {
  const plain = host.toLowerCase().replace(/\.$/, '')
  return `${plain.includes(':') ? `v6-${plain.replaceAll(':', '-')}` : plain}-${port}`
}
