import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { cgroupHierarchy } from '../../../tools/processes/cgroup-hierarchy.ts'
import { createMemoryCgroup } from '../../../tools/processes/memory-cgroup.ts'

const MACHINES = {
  'of systemd, version 2 only': {
    mounts: '35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate',
    expected: { version: 2, top: '/sys/fs/cgroup' },
  },
  'with both, memory in version 1': {
    mounts: `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:14 master:3 - cgroup cgroup rw,memory`,
    expected: { version: 1, top: '/sys/fs/cgroup/memory' },
  },
  'with both, memory in version 2': {
    mounts: `32 31 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,memory_recursiveprot`,
    expected: { version: 2, top: '/sys/fs/cgroup/unified' },
  },
  'that mounts several controllers together, at a path with a space': {
    mounts: '35 31 0:32 /a\\040b /mnt/c\\040d rw - cgroup cgroup rw,cpuset,memory',
    expected: { version: 1, top: '/mnt/c d' },
  },
} as const
for (const [name, { mounts, expected }] of Object.entries(MACHINES)) {
  test(`On a machine ${name}, the right hierarchy is found`, async () => {
    assert.deepEqual(await cgroupHierarchy('memory', `22 1 254:0 / / rw - ext4 /dev/vda rw\n${mounts}\n`), expected)
  })
}

test('A machine without cgroups is told so', async () => {
  await assert.rejects(cgroupHierarchy('memory', '22 1 254:0 / / rw - ext4 /dev/vda rw,memory\n'), /no cgroups/)
})

/** Files of the names that a kernel would have. It makes those of a new group by itself; a folder does not. */
async function topGroup(t: TestContext, files: Readonly<Record<string, string>> = {}): Promise<string> {
  const top = await mkdtemp(join(tmpdir(), 'darkroom-cgroup-'))
  t.after(() => rm(top, { recursive: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(top, name), text)
  return top
}

test('In version 2 the controller is switched on where it is off, and the limit is set', async (t) => {
  for (const [before, after] of [
    ['cpu pids\n', '+memory'],
    ['', '+memory'],
    ['cpu memory pids\n', 'cpu memory pids\n'],
  ] as const) {
    const top = await topGroup(t, { 'cgroup.subtree_control': before })
    const group = await createMemoryCgroup(512 * 2 ** 20, { version: 2, top })
    assert.equal(await readFile(join(top, 'cgroup.subtree_control'), 'utf8'), after)
    const folder = join(top, (await readdir(top)).find((name) => name.startsWith('darkroom-')) ?? '')
    assert.equal(await readFile(join(folder, 'memory.max'), 'utf8'), '536870912')
    assert.equal(group.through.at(-1), join(folder, 'cgroup.procs'))
    await writeFile(join(folder, 'memory.events'), 'low 0\nhigh 0\nmax 12\noom 5\noom_kill 3\noom_group_kill 0\n')
    assert.deepEqual([await group.oomKills(), await group.peakBytes()], [3, Number.NaN])
    await writeFile(join(folder, 'memory.peak'), '478150656\n')
    assert.equal(await group.peakBytes(), 478_150_656)
  }
})

test('In version 1 the files are others', async (t) => {
  const top = await topGroup(t)
  const group = await createMemoryCgroup(1000, { version: 1, top })
  const folder = join(top, (await readdir(top))[0] ?? '')
  assert.equal(await readFile(join(folder, 'memory.limit_in_bytes'), 'utf8'), '1000')
  await writeFile(join(folder, 'memory.oom_control'), 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n')
  await writeFile(join(folder, 'memory.max_usage_in_bytes'), '77\n')
  assert.deepEqual([await group.oomKills(), await group.peakBytes()], [2, 77])
})

test('Where no group can be made, it says what is needed and leaves nothing', async (t) => {
  const top = await topGroup(t)
  // Neither is this a cgroup file system of version 2, nor can its control be written.
  await mkdir(join(top, 'cgroup.subtree_control'))
  await assert.rejects(createMemoryCgroup(1000, { version: 2, top }), /needs root/)
  assert.deepEqual(await readdir(top), ['cgroup.subtree_control'])
})
