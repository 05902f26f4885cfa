import { createSocket } from 'node:dgram'
import { parseIpAddress } from '../../src/domain/network/ip-address.ts'
import type { Scope } from '../processes/scope.ts'

export interface DnsQuestion {
  readonly name: string
  readonly type: 'A' | 'AAAA'
  /** How many times this name and type were asked for before. */
  readonly before: number
}

/** Addresses; `absent`: no such name; `failing`: the server cannot say; `silent`: no answer at all. */
export type DnsAnswer = readonly string[] | 'absent' | 'failing' | 'silent'

export interface StubDns {
  /** As `parseDnsServer` writes it. */
  readonly server: string
  /** As `A example.com`, in order of arrival. */
  readonly questions: string[]
}

const TYPES = { A: 1, AAAA: 28 } as const
const RCODES = { absent: 3, failing: 2 } as const
const HEADER_BYTES = 12

/** A DNS server on loopback that says what the test wants it to, and that nothing may be remembered. */
export async function startStubDns(t: Scope, answer: (question: DnsQuestion) => DnsAnswer): Promise<StubDns> {
  const socket = createSocket('udp4')
  const questions: string[] = []
  socket.on('message', (message, from) => {
    const { name, type, end } = readQuestion(message)
    const asked = `${type} ${name}`
    const before = questions.filter((question) => question === asked).length
    questions.push(asked)
    const said = answer({ name, type, before })
    if (said === 'silent') return
    const addresses = typeof said === 'string' ? [] : said.filter((text) => text.includes(':') === (type === 'AAAA'))
    const head = Buffer.alloc(HEADER_BYTES)
    message.copy(head, 0, 0, 2)
    head.writeUInt16BE(0x8180 | (typeof said === 'string' ? RCODES[said] : 0), 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(addresses.length, 6)
    const records = addresses.map((text) => record(type, text))
    socket.send(Buffer.concat([head, message.subarray(HEADER_BYTES, end), ...records]), from.port, from.address)
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.bind(0, '127.0.0.1', resolve)
  await promise
  t.after(() => socket.close())
  return { server: `127.0.0.1:${socket.address().port}`, questions }
}

function readQuestion(message: Buffer): { name: string; type: 'A' | 'AAAA'; end: number } {
  const labels: string[] = []
  let at = HEADER_BYTES
  for (let length = message.readUInt8(at); length > 0; length = message.readUInt8(at)) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const type = message.readUInt16BE(at + 1) === TYPES.AAAA ? 'AAAA' : 'A'
  return { name: labels.join('.').toLowerCase(), type, end: at + 5 }
}

function record(type: 'A' | 'AAAA', text: string): Buffer {
  const address = parseIpAddress(text)
  if (address === undefined) throw new Error(`${text} is no address`)
  const data = Buffer.from(address.value.toString(16).padStart(type === 'A' ? 8 : 32, '0'), 'hex')
  const head = Buffer.alloc(HEADER_BYTES)
  head.writeUInt16BE(0xc0_0c, 0) // the name of the question
  head.writeUInt16BE(TYPES[type], 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}
