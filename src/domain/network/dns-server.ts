import { SettingError } from '../text/setting-error.ts'
import { formatIpAddress, parseIpAddress } from './ip-address.ts'

/**
 * Reads the address of a DNS server: `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`.
 *
 * @returns As Node's resolver takes it, with the port.
 * @throws SettingError
 */
export function parseDnsServer(text: string): string {
  const [, bracketed, plain, digits = '53'] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const address = parseIpAddress(bracketed ?? plain ?? text)
  const port = Number(digits)
  if (address === undefined || (bracketed !== undefined && address.family === 4) || port < 1 || port > 65_535) {
    throw new SettingError(`"${text}" should be the address of a DNS server such as 192.0.2.53 or [2001:db8::53]:5353`)
  }
  const host = formatIpAddress(address)
  return address.family === 4 ? `${host}:${port}` : `[${host}]:${port}`
}
