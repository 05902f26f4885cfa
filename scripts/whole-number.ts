/** @throws Error that names the option, unless the text is a whole number from 1. */
export function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${option} ${text}: should be a whole number, 1 or more`)
  return Number(text)
}
