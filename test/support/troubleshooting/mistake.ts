import type { Scope } from '../../../tools/processes/scope.ts'
import type { Servers } from './servers.ts'

/** The sections of docs/troubleshooting.md, in their order. */
export const SECTIONS = [
  'Using images',
  'Uploading',
  'Signed URLs',
  'Buckets and remote hosts',
  'Starting a node',
  'nginx and the cache',
  'The store',
  'Operating',
] as const
export type Section = (typeof SECTIONS)[number]

/** What a person did, and what came of it. */
export interface Attempt {
  /** A request, a command or a setting, as a person writes it. */
  readonly done: string
  /** The answer, the output or the line of the log; ports, ids and folders are made uniform on the page. */
  readonly answer: string
}

/** A mistake that people make, and its fix; both are executed. */
export interface Mistake {
  readonly section: Section
  /** What the person did or sees, without Markdown. */
  readonly title: string
  /** What the product has to answer: the message that the index lists. */
  readonly says: RegExp
  /** The cause and the remedy, in Markdown. */
  readonly fix: string
  /** What is answered after the fix. */
  readonly works: RegExp
  /** Makes the mistake. Then does what the fix says. */
  readonly make: (t: Scope, servers: Servers) => Promise<{ readonly wrong: Attempt; readonly right: Attempt }>
}
