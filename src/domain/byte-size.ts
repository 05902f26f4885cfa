const UNITS = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const

/**
 * Reads a number of bytes, plain or with K, M, G or T for powers of 1024.
 * @returns undefined for anything else.
 * @example parseByteSize('64M') // 67108864
 */
export function parseByteSize(text: string): number | undefined {
  const { amount, unit = '' } = /^(?<amount>\d+(?:\.\d+)?)\s*(?<unit>[KMGT]?)(?:i?B)?$/i.exec(text.trim())?.groups ?? {}
  const factor = Object.entries(UNITS).find(([name]) => name === unit.toUpperCase())?.[1]
  return amount === undefined || factor === undefined ? undefined : Math.round(Number(amount) * factor)
}
