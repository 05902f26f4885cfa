import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { clientAddress, clientNetwork } from '../../../../src/domain/network/client-address.ts'
import { parseAddressBlock } from '../../../../src/domain/network/ip-address.ts'

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
