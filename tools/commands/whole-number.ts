/** @throws Error that names the option, unless the text is a whole number of at least 1. */
export function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${option}: "${text}" is not a whole number of at least 1`)
  return Number(text)
}
