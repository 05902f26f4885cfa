/** The newest event of each image, for many images: 16 bytes an entry. */
export interface VersionTable {
  /** @param version Of an event; negative: of a deletion. @returns false if the table is full. */
  add(number: number, version: number): boolean
  /** @returns undefined if there is no event. */
  get(number: number): number | undefined
  /** Removes images with this number or a greater one. */
  removeFrom(number: number): void
  clear(): void
}

/** Beyond this share, searches become long. */
const LARGEST_LOAD = 0.75
const HEX_DIGITS = 13
/** One more than the greatest number of an image. */
export const NUMBER_END = 16 ** HEX_DIGITS

/** The first 52 bits of an id, which is a hash. Numbers sort as the ids do. */
export function idNumber(id: string): number {
  return Number.parseInt(id.slice(0, HEX_DIGITS), 16)
}

/** Open addressing with linear probing. @param slots Entries in memory; three quarters of them are used. */
export function createVersionTable(slots: number): VersionTable {
  let numbers = new Float64Array(slots)
  let versions = new Float64Array(slots)
  let count = 0

  /** The slot of the number, or the free one where it would be. A free slot has the version 0. */
  function slotOf(number: number): number {
    let slot = number % slots
    while (versions[slot] !== 0 && numbers[slot] !== number) slot = (slot + 1) % slots
    return slot
  }

  function put(number: number, version: number): void {
    const slot = slotOf(number)
    if (versions[slot] === 0) count += 1
    numbers[slot] = number
    versions[slot] = version
  }

  function clear(): void {
    versions.fill(0)
    count = 0
  }

  return {
    add(number, version) {
      const last = versions[slotOf(number)] ?? 0
      if (last === 0 && count >= slots * LARGEST_LOAD) return false
      if (Math.abs(version) > Math.abs(last)) put(number, version)
      return true
    },
    get(number) {
      const version = versions[slotOf(number)]
      return version === 0 ? undefined : version
    },
    removeFrom(end) {
      const [oldNumbers, oldVersions] = [numbers, versions]
      numbers = new Float64Array(slots)
      versions = new Float64Array(slots)
      count = 0
      for (const [slot, version] of oldVersions.entries()) {
        const number = oldNumbers[slot] ?? 0
        if (version !== 0 && number < end) put(number, version)
      }
    },
    clear,
  }
}
