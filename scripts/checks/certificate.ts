import { once } from 'node:events'
import { isIP } from 'node:net'
import { connect } from 'node:tls'
import type { Check } from './check.ts'
import { failure, ok, type Result, reasonOf, skipped, warning } from './finding.ts'

const TIMEOUT_MS = 5000
const DAY_MS = 86_400_000
const SOON_DAYS = 14

/** The certificates of PUBLIC_URL and --url are valid, and will be for two weeks. */
export const certificateCheck: Check = {
  name: 'certificate',
  async run({ config, url = '' }) {
    const urls = [config.PUBLIC_URL, url].filter((each) => /^https:/i.test(each)).map((each) => new URL(each))
    if (urls.length === 0) return [skipped('PUBLIC_URL does not begin with https://.')]
    const hosts = new Map(urls.map((each) => [each.host, each]))
    return await Promise.all(
      Array.from(hosts, async ([subject, each]) => ({ ...(await certificateResult(each)), subject })),
    )
  },
}

async function certificateResult({ hostname, port, host }: URL): Promise<Result> {
  const name = hostname.replace(/^\[|\]$/g, '')
  // Judged below, so that an invalid certificate is described too.
  const options = { host: name, port: Number(port || 443), rejectUnauthorized: false }
  const socket = connect({ ...options, ...(isIP(name) === 0 && { servername: name }) })
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(TIMEOUT_MS) })
    const { valid_to: validTo } = socket.getPeerCertificate()
    const certificateDaysLeft = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS)
    const measured = { certificateDaysLeft }
    const renew = 'Renew it, for example with "certbot renew", then run "systemctl reload nginx"'
    if (certificateDaysLeft < 0)
      return failure(`The certificate of ${host} expired on ${validTo}.`, `${renew}.`, measured)
    if (!socket.authorized) {
      return failure(
        `The certificate of ${host} is not trusted: ${String(socket.authorizationError)}.`,
        'Send the full chain (ssl_certificate fullchain.pem) of a certificate for this host name; for a CA of your own, set NODE_EXTRA_CA_CERTS.',
        measured,
      )
    }
    if (certificateDaysLeft < SOON_DAYS) {
      return warning(
        `The certificate of ${host} expires in ${certificateDaysLeft} days.`,
        `${renew}; check the timer of the renewal.`,
        measured,
      )
    }
    return ok(`The certificate of ${host} is valid for another ${certificateDaysLeft} days.`, measured)
  } catch (error) {
    return warning(
      `${host} cannot be reached over TLS from here: ${reasonOf(error)}.`,
      'Correct PUBLIC_URL, or check that its server listens; ignore this if the machine cannot reach its own public address.',
    )
  } finally {
    socket.destroy()
  }
}
