/**
 * Distinct specs of one picture, as a crawler or an attacker would try them: widths, heights, squares, boxes, crops and qualities in
 * turn, in an order that jumps among the lengths.
 */
export function distinctSpecs(count: number): readonly string[] {
  const specs = new Set<string>()
  for (let n = 0; specs.size < count; n += 1) {
    const width = 1 + ((n * 7919) % 4099)
    const height = 1 + ((n * 6007) % 4093)
    const forms = [
      `${width}w`,
      `${height}h`,
      `${width}s`,
      `${width}w${height}h`,
      `${width}w${height}h,cover`,
      `${width}w,q${1 + (n % 100)}`,
    ]
    const spec = forms[n % forms.length]
    if (spec !== undefined) specs.add(spec)
  }
  return [...specs]
}
