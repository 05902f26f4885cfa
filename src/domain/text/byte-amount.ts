const UNITS = ['', 'K', 'M', 'G', 'T'] as const

/**
 * A number of bytes with an optional unit: `500M`, `10G`, `1.5T`, `2GiB`, `1048576`. Units are powers of 1024, as in
 * `df -h` and nginx.
 *
 * @returns Whole bytes; undefined for anything else.
 */
export function parseByteAmount(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?$/i.exec(text) ?? []
  if (digits === undefined) return undefined
  const power = UNITS.findIndex((name) => name === unit.toUpperCase())
  const bytes = Math.round(Number(digits) * 1024 ** power)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Rounded to about three digits. @example formatByteAmount(1_610_612_736) // '1.5 GiB'; 67_108_864: '64 MiB' */
export function formatByteAmount(bytes: number): string {
  let amount = bytes
  let power = 0
  while (amount >= 1024 && power < UNITS.length - 1) {
    amount /= 1024
    power += 1
  }
  if (power === 0) return `${Math.round(amount)} bytes`
  return `${Number(amount.toFixed(amount < 100 ? 1 : 0))} ${UNITS[power]}iB`
}
