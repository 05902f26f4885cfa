import { test } from 'node:test'
import { assertFound, doctorReport } from '../support/doctor.ts'
import { mountHungDisk } from '../support/hung-disk.ts'

test('A disk that never answers is found, and the doctor ends', async (t) => {
  const hung = await mountHungDisk(t)
  const env = { STORE: 'file:/nowhere/data', CACHE_DIR: `${hung}/cache` }
  assertFound(await doctorReport(env, ['--local']), {
    check: 'disk',
    status: 'failure',
    message: /CACHE_DIR \(\S+\/cache\) does not respond: no answer within 8 s/,
    fix: /umount --lazy/,
  })
})
