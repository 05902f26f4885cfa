import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHaproxyServers } from '../../../../src/domain/network/haproxy-servers.ts'

/** Of HAProxy 2.6.12: up; just added; drained by hand; without an address. */
const STATE = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
3 ready 5 up 127.0.0.1 2 0 64 64 4 15 3 6 6 0 0 1 - 18101 - 0 0 - - 0
3 ready 6 added ::1 0 1 0 64 1 1 0 0 2 0 0 1 - 18102 - 0 0 - - 0
4 living 7 drained 127.0.0.1 0 8 64 64 1 8 2 0 6 0 0 1 - 18103 - 0 0 - - 0
4 living 8 nowhere - 0 1 1 1 1 1 0 0 2 0 0 1 localhost 18101 - 0 0 - - 0
`

test('The answer to "show servers state" is read', () => {
  const up = { backend: 'ready', name: 'up', id: 5, address: '127.0.0.1', port: 18101, weight: 64 }
  const added = { backend: 'ready', name: 'added', id: 6, address: '::1', port: 18102, weight: 0 }
  const drained = { backend: 'living', name: 'drained', id: 7, address: '127.0.0.1', port: 18103, weight: 64 }
  const nowhere = { backend: 'living', name: 'nowhere', id: 8, port: 18101, weight: 1 }
  assert.deepEqual(parseHaproxyServers(STATE), [
    { ...up, isUp: true, isChecked: true, inMaintenance: false, isDrained: false },
    { ...added, isUp: false, isChecked: false, inMaintenance: true, isDrained: false },
    { ...drained, isUp: false, isChecked: true, inMaintenance: false, isDrained: true },
    { ...nowhere, isUp: false, isChecked: false, inMaintenance: true, isDrained: false },
  ])
})

test('Other answers are refused', () => {
  for (const text of ['', 'Permission denied\n', "Can't find backend.\n", '2\n# be_id srv_id\n']) {
    assert.equal(parseHaproxyServers(text), undefined)
  }
  const [version, header] = STATE.split('\n')
  assert.deepEqual(parseHaproxyServers(`${version}\n${header}\n`), [])
})
