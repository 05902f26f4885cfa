import { getPriority, setPriority } from 'node:os'

/** As the command nice has it: the node's viewers go before. */
const NICE = 10

/** Runs this process after others. A process that was started at a lower priority, as by systemd, may not be able to raise it. */
export function lowerPriority(): void {
  if (getPriority() < NICE) setPriority(NICE)
}
