/** A bounded number of seats for those who wait. */
export interface Seats {
  /** Whether there is none for this client. @param client Absent: of nobody in particular. */
  isFull(client?: string): boolean
  /** @returns Gives the seat back; a second call does nothing. */
  take(client?: string): () => void
  readonly taken: number
}

/**
 * A client may have as many seats as are left: a single greedy one gets half of them, two get a third each, and the next
 * client always finds some free. What belongs to no client is bounded by the total alone.
 *
 * @see Choudhury, Hahne: Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, ToN 1998
 */
export function createSeats(max: number): Seats {
  const byClient = new Map<string, number>()
  let taken = 0

  const ofClient = (client: string): number => byClient.get(client) ?? 0

  return {
    isFull: (client) => taken >= max || (client !== undefined && ofClient(client) >= max - taken),
    take(client) {
      taken += 1
      if (client !== undefined) byClient.set(client, ofClient(client) + 1)
      let isHeld = true
      return () => {
        if (!isHeld) return
        isHeld = false
        taken -= 1
        if (client === undefined) return
        const left = ofClient(client) - 1
        if (left > 0) byClient.set(client, left)
        else byClient.delete(client)
      }
    },
    get taken() {
      return taken
    },
  }
}
