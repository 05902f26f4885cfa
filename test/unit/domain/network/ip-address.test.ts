import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  clientAddress,
  clientNetwork,
  formatIpAddress,
  isRemoteAddressAllowed,
  isWithinNetworks,
  parseAddressBlock,
  parseIpAddress,
} from '../../../../src/domain/network/ip-address.ts'
import { parseRemoteUrl } from '../../../../src/domain/network/remote-hosts.ts'
import { RequestError, SettingError } from '../../../../src/errors.ts'
import { FORBIDDEN_HOSTS } from '../../../support/forbidden-addresses.ts'

/** The host of `http://{host}/` as something would connect to it; undefined if that is no URL of an image. */
function hostOf(host: string): string | undefined {
  try {
    return new URL(parseRemoteUrl(`http://${host}/cat.jpg`)).hostname.replace(/^\[(.*)\]$/, '$1')
  } catch (error) {
    assert.ok(error instanceof RequestError)
    return undefined
  }
}

for (const host of FORBIDDEN_HOSTS) {
  test(`${JSON.stringify(host)} leads nowhere`, () => {
    const address = hostOf(host)
    if (address === undefined) return
    assert.notEqual(parseIpAddress(address), undefined, `${address} should have been read as an address`)
    assert.equal(isRemoteAddressAllowed(address, []), false)
  })
}

const PUBLIC = [
  '1.1.1.1',
  '8.8.8.8',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '168.63.129.15',
  '169.253.255.255',
  '172.15.255.255',
  '172.32.0.0',
  '192.0.1.0',
  '192.0.3.0',
  '198.17.255.255',
  '198.20.0.0',
  '203.0.112.255',
  '203.0.114.0',
  '223.255.255.255',
  '2001:200::1',
  '2001:4860:4860::8888',
  '2003::1',
  '2606:4700:4700::1111',
  '2a00::1',
  '3ff0::1',
] as const
for (const address of PUBLIC) {
  test(`${address} is public`, () => assert.equal(isRemoteAddressAllowed(address, []), true))
}

const NO_ADDRESSES = [
  '',
  'localhost',
  '127.1',
  '0x7f.0.0.1',
  '010.8.8.8',
  '8.8.8.08',
  '8.8.8.256',
  '8.8.8',
  '8.8.8.8.8',
]
const NO_IPV6 = ['fe80::1%lo', '::1/128', '[::1]', '1:2:3', '2606:::1', '1:2:3:4:5:6:7:8:9', '2606::g', ' 2606::1']
for (const text of [...NO_ADDRESSES, ...NO_IPV6]) {
  test(`${JSON.stringify(text)} is no address, and nothing connects to it`, () => {
    assert.equal(parseIpAddress(text), undefined)
    assert.equal(isRemoteAddressAllowed(text, []), false)
    assert.throws(() => parseAddressBlock(text === '::1/128' ? '::1/129' : text), SettingError)
  })
}

const SPECIAL = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
] as const
const SPECIAL_IPV6 = [
  '::/3',
  '4000::/2',
  '8000::/1',
  '::ffff:0:0/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
  'fc00::/7',
  'fe80::/10',
  'ff00::/8',
] as const

const within = (blocks: readonly string[]): fc.Arbitrary<string> =>
  fc.constantFrom(...blocks).chain((text) => {
    const { family, first, last } = parseAddressBlock(text)
    return fc.bigInt({ min: first, max: last }).map((value) => formatIpAddress({ family, value }))
  })

/** The spellings of one number that an address of IPv4 may hold. */
const number = (value: bigint): fc.Arbitrary<string> =>
  fc.constantFrom(value.toString(), `0${value.toString(8)}`, `0x${value.toString(16)}`, `0X00${value.toString(16)}`)

/** An address of IPv4, in one to four numbers. */
const spelling = (address: string): fc.Arbitrary<string> => {
  const value = parseIpAddress(address)?.value ?? 0n
  const bytes = [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n)
  return fc.integer({ min: 0, max: 3 }).chain((dots) => {
    const rest = value & ((1n << BigInt(8 * (4 - dots))) - 1n)
    const end = fc.constantFrom('', '.')
    return fc.tuple(...[...bytes.slice(0, dots), rest].map(number), end).map((parts) => {
      const dot = parts.pop() ?? ''
      return `${parts.join('.')}${dot}`
    })
  })
}

/** An address of IPv4 inside one of IPv6. */
const wrapped = (address: string): fc.Arbitrary<string> => {
  const value = parseIpAddress(address)?.value ?? 0n
  const high = (value >> 16n).toString(16)
  const low = (value & 65_535n).toString(16)
  return fc.constantFrom(
    ...['::ffff:', '::', '::ffff:0:', '64:ff9b::', '64:ff9b:1::'].map((prefix) => `[${prefix}${address}]`),
    `[2002:${high}:${low}::1]`,
    `[::FFFF:${high}:${low}]`,
  )
}

test('no address of a special block is ever allowed, in whatever spelling', () => {
  const hosts = fc.oneof(
    within(SPECIAL).chain(spelling),
    within(SPECIAL).chain(wrapped),
    within(SPECIAL_IPV6).map((address) => `[${address}]`),
  )
  fc.assert(
    fc.property(hosts, (host) => {
      const address = hostOf(host)
      assert.ok(address !== undefined && parseIpAddress(address) !== undefined, host)
      assert.equal(isRemoteAddressAllowed(address, []), false)
    }),
    { numRuns: 2000 },
  )
})

test('an address reads and formats back to itself', () => {
  const ipv6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ({ family: 6, value }) as const)
  const ipv4 = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ({ family: 4, value }) as const)
  fc.assert(
    fc.property(fc.oneof(ipv4, ipv6), (address) => {
      assert.deepEqual(parseIpAddress(formatIpAddress(address)), address)
    }),
  )
})

test('an exception lets in just its own addresses', () => {
  const exceptions = ['10.1.0.0/16', '127.0.0.1', 'fd00::/8'].map(parseAddressBlock)
  for (const address of ['10.1.0.0', '10.1.255.255', '127.0.0.1', 'fd12::1', '8.8.8.8']) {
    assert.equal(isRemoteAddressAllowed(address, exceptions), true, address)
  }
  for (const address of [
    '10.0.255.255',
    '10.2.0.0',
    '127.0.0.2',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::1',
    'fc00::1',
  ]) {
    assert.equal(isRemoteAddressAllowed(address, exceptions), false, address)
  }
})

const BAD_BLOCKS = [
  ['10.1.2.3/16', '"10.1.2.3/16" has host bits set; the block is "10.1.0.0/16"'],
  ['fd00::1/8', '"fd00::1/8" has host bits set; the block is "fd00::/8"'],
  ['10.0.0.0/33', /should be an address or a CIDR block/],
  ['10.0.0.0/', /should be an address or a CIDR block/],
  ['10.0.0.0/8/8', /should be an address or a CIDR block/],
  ['10.0.0.0/-1', /should be an address or a CIDR block/],
  ['10.*', /should be an address or a CIDR block/],
  ['localhost', /should be an address or a CIDR block/],
] as const
for (const [text, message] of BAD_BLOCKS) {
  test(`${text} is no block, and the message says why`, () => {
    assert.throws(() => parseAddressBlock(text), { message })
  })
}

const PROXIES = ['127.0.0.0/8', '::1', '10.0.0.0/8'].map(parseAddressBlock)

const CASES = [
  ['203.0.113.9', '', '203.0.113.9', 'a peer is itself the client'],
  ['203.0.113.9', '198.51.100.7', '203.0.113.9', 'an untrusted peer does not choose its address'],
  ['203.0.113.9', '127.0.0.1, 10.0.0.1', '203.0.113.9', 'not even with the addresses of proxies'],
  ['127.0.0.1', '198.51.100.7', '198.51.100.7', 'a trusted proxy names the client'],
  ['127.0.0.1', '', '127.0.0.1', 'or says nothing'],
  ['127.0.0.1', '192.0.2.1, 198.51.100.7', '198.51.100.7', 'what a client has put in front is not reached'],
  ['127.0.0.1', '192.0.2.1, 198.51.100.7, 10.1.2.3', '198.51.100.7', 'through several proxies'],
  ['10.0.0.9', '10.1.2.3, 10.4.5.6', '10.1.2.3', 'a client in the network of the proxies'],
  ['127.0.0.1', '198.51.100.7, unknown', '127.0.0.1', 'what is no address ends the chain'],
  ['127.0.0.1', '198.51.100.7, unknown, 10.0.0.1', '10.0.0.1', 'at the last address that is known'],
  ['127.0.0.1', '198.51.100.7:4711', '198.51.100.7', 'a port is left out'],
  ['127.0.0.1', '[2001:DB8:0::7]:4711', '2001:db8::7', 'also behind brackets'],
  ['127.0.0.1', '2001:db8::7', '2001:db8::7', 'IPv6 as it is'],
  ['::ffff:127.0.0.1', '198.51.100.7', '198.51.100.7', 'a socket for both families names IPv4 its own way'],
  ['::ffff:203.0.113.9', '198.51.100.7', '203.0.113.9', 'and such a peer is compared as IPv4'],
  ['127.0.0.1', '::ffff:198.51.100.7', '198.51.100.7', 'so is such an entry'],
  ['', '198.51.100.7', '', 'a connection that has gone has no address'],
] as const
for (const [peer, forwardedFor, expected, why] of CASES) {
  test(`"${peer}" with "${forwardedFor}" is the client ${expected}: ${why}`, () => {
    assert.equal(clientAddress(peer, forwardedFor, PROXIES), expected)
  })
}

test('without trusted proxies nothing but the peer counts', () => {
  assert.equal(clientAddress('127.0.0.1', '198.51.100.7', []), '127.0.0.1')
})

test('whatever stands in the header, an untrusted peer is its own address', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (one, other) => {
      assert.equal(clientAddress('203.0.113.9', `${one},${other}`, PROXIES), '203.0.113.9')
      assert.equal(clientAddress('127.0.0.1', `${one},198.51.100.7`, PROXIES), '198.51.100.7')
    }),
  )
})

test('a client of IPv6 is a network of 64 bits, of which it has every address', () => {
  assert.equal(clientNetwork('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  assert.equal(clientNetwork('2001:db8:1:2::'), clientNetwork('2001:db8:1:2:ffff:ffff:ffff:ffff'))
  assert.notEqual(clientNetwork('2001:db8:1:2::'), clientNetwork('2001:db8:1:3::'))
  assert.equal(clientNetwork('198.51.100.7'), '198.51.100.7')
  assert.equal(clientNetwork(''), '')
})

test('Every address that a request names has to be in one of the networks', () => {
  const networks = ['127.0.0.0/8', '10.0.0.0/8', 'fd00::/8'].map(parseAddressBlock)
  const accepted = [
    ['127.0.0.1', ''],
    ['::ffff:10.1.2.3', ''],
    ['fd00::1', ''],
    ['127.0.0.1', '10.0.0.7'],
    ['127.0.0.1', '10.0.0.7, [fd00::2]:99 , 127.0.0.1:80'],
  ] as const
  const refused = [
    ['', ''],
    ['192.0.2.1', ''],
    ['192.0.2.1', '10.0.0.7'],
    ['127.0.0.1', '192.0.2.1'],
    ['127.0.0.1', '192.0.2.1, 10.0.0.7'],
    ['127.0.0.1', '10.0.0.7, 192.0.2.1'],
    ['127.0.0.1', 'unknown, 10.0.0.7'],
    ['127.0.0.1', ','],
  ] as const
  for (const [peer, header] of accepted) assert.ok(isWithinNetworks(peer, header, networks), `${peer} ${header}`)
  for (const [peer, header] of refused) assert.ok(!isWithinNetworks(peer, header, networks), `${peer} ${header}`)
  assert.ok(!isWithinNetworks('127.0.0.1', '', []))
})
