import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Scope } from '../processes/scope.ts'
import { type Cut, type FtpSession, openFtpSession } from '../requests/ftp-session.ts'
import type { Proftpd } from '../servers/proftpd.ts'
import { startBalancer } from './balancer.ts'
import type { TrialFile } from './trial-files.ts'

export type Protocol = 'ftp' | 'ftps' | 'sftp'

/** What happens to the first attempt at sending a file. */
export interface PlannedCut {
  readonly by: Cut
  /** After so many bytes of the file. */
  readonly atByte: number
}

export interface Sending {
  readonly file: TrialFile
  /** Of the first attempt. */
  readonly cut: PlannedCut | undefined
}

/** Counts of one session. */
export interface Sent {
  readonly protocol: Protocol
  /** Files that the server acknowledged whole. */
  files: number
  cuts: number
  /** Attempts that failed by themselves, as the server was killed. */
  failures: number
}

export interface SendersOptions {
  readonly ftp: Proftpd
  readonly sftpCommand: string
  /** For files that `sftp` reads. */
  readonly folder: string
  /** Gives the next file. */
  readonly next: () => Promise<Sending | undefined>
  readonly onSent: () => void
}

const RETRY_MS = 200
/** Of the client, before the first byte of a file. */
const SFTP_HANDSHAKE_BYTES = 3500
const SFTP_TIMEOUT_MS = 60_000

/** A session that sends files until there are none; repeats what is not acknowledged. */
export async function sendAll(scope: Scope, protocol: Protocol, options: SendersOptions): Promise<Sent> {
  const sent: Sent = { protocol, files: 0, cuts: 0, failures: 0 }
  const send = protocol === 'sftp' ? await createSftpSender(scope, options) : createFtpSender(protocol, options)
  for (let sending = await options.next(); sending !== undefined; sending = await options.next()) {
    if (sending.cut !== undefined) {
      sent.cuts += 1
      await send(sending.file, sending.cut)
    }
    while (!(await send(sending.file, undefined))) {
      sent.failures += 1
      await delay(RETRY_MS)
    }
    sent.files += 1
    options.onSent()
  }
  return sent
}

/** @returns whether the server has acknowledged the whole file. */
type Send = (file: TrialFile, cut: PlannedCut | undefined) => Promise<boolean>

function createFtpSender(protocol: 'ftp' | 'ftps', { ftp }: SendersOptions): Send {
  let session: FtpSession | undefined
  return async ({ name, bytes }, cut) => {
    try {
      session ??= await openFtpSession(ftp, { tls: protocol === 'ftps' })
      const part = cut === undefined ? bytes : bytes.subarray(0, cut.atByte)
      const answer = await session.store(name, part, cut?.by)
      if (cut === undefined && answer.startsWith('226')) return true
    } catch {
      // The server was killed.
    }
    session?.close()
    session = undefined
    return false
  }
}

/** OpenSSH's client, through a proxy that cuts its connection. */
async function createSftpSender(scope: Scope, { ftp, sftpCommand, folder }: SendersOptions): Promise<Send> {
  let planned: PlannedCut | undefined
  const port = await startBalancer(scope, [ftp.sftpPort], (client, server) => {
    const cut = planned
    if (cut === undefined) return
    let passed = 0
    client.on('data', (chunk: Buffer) => {
      passed += chunk.length
      if (passed < SFTP_HANDSHAKE_BYTES + cut.atByte) return
      if (cut.by === 'rst') server.resetAndDestroy()
      else server.end()
      client.destroy()
    })
  })
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes', 'LogLevel=ERROR']
  const args = ['-q', '-b', '-', '-P', String(port), '-i', ftp.privateKey, ...options.flatMap((each) => ['-o', each])]
  return async ({ name, bytes }, cut) => {
    planned = cut
    const path = join(folder, name)
    await writeFile(path, bytes)
    const client = spawn(sftpCommand, [...args, `${ftp.user}@127.0.0.1`], {
      stdio: ['pipe', 'ignore', 'ignore'],
      timeout: SFTP_TIMEOUT_MS,
    })
    client.stdin.on('error', () => {})
    client.stdin.end(`put ${path} ${name}\n`)
    await once(client, 'close')
    await rm(path)
    return cut === undefined && client.exitCode === 0
  }
}
