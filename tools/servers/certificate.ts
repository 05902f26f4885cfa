import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Certificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export interface CertificateSettings {
  /** As `DNS:cat.example` and `IP:127.0.0.1`. */
  readonly names: readonly string[]
  /** How long it is valid from now on; negative: it has expired. */
  readonly days?: number
}

const run = promisify(execFile)

/** A certificate that signs itself, made by `openssl`, which Debian has in its package of that name. */
export async function makeCertificate({ names, days = 2 }: CertificateSettings): Promise<Certificate> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-certificate-'))
  const [key, request, extensions] = ['key.pem', 'request.pem', 'extensions'].map((name) => join(folder, name))
  if (key === undefined || request === undefined || extensions === undefined) throw new Error('There are three names')
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  try {
    await writeFile(extensions, `subjectAltName=${names.join(',')}\n`)
    await run('openssl', ['req', '-new', ...curve, '-keyout', key, '-out', request, '-subj', '/CN=darkroom-test'])
    const signing = ['-signkey', key, '-days', String(days), '-extfile', extensions]
    const { stdout } = await run('openssl', ['x509', '-req', '-in', request, ...signing])
    return { cert: stdout, key: await readFile(key, 'utf8') }
  } catch (cause) {
    throw new Error('openssl could not make a certificate; is it installed?', { cause })
  } finally {
    await rm(folder, { recursive: true })
  }
}
