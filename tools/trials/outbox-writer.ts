// A node's outbox in a process of its own, for `npm run trial -- events`. Reads numbers of images, a line each, and prints the number
// when the event of the image is durable, or the number after a minus if it could not be written. "record" after a number also stores
// the record. The environment has the settings of the store.
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { loadConfig } from '../../src/config/env.ts'
import { storedEvent } from '../../src/domain/info/image-event.ts'
import { formatRecord } from '../../src/domain/info/image-record.ts'
import { recordKey } from '../../src/domain/stored/store-layout.ts'
import { createStore } from '../../src/node/outside.ts'
import { createOutbox } from '../../src/service/library/outbox.ts'
import { putBytes } from '../../src/service/tools/small-object.ts'
import { trialRecord } from './trial-record.ts'

const never = new AbortController().signal
const store = await createStore(loadConfig(process.env))
const outbox = createOutbox({
  store,
  meter: { trouble: (message) => void process.stderr.write(`${message}\n`) },
  now: Date.now,
  node: randomBytes(4).toString('hex'),
})
let answers: string[] = []

function answer(line: string): void {
  answers.push(line)
  // The events of a batch become durable together.
  if (answers.length > 1) return
  setImmediate(() => {
    process.stdout.write(`${answers.join('\n')}\n`)
    answers = []
  })
}

async function report(line: string): Promise<void> {
  const [number = '', wish] = line.split(' ')
  const record = trialRecord(Number(number))
  try {
    if (wish === 'record') {
      const bytes = Buffer.from(formatRecord(record))
      await putBytes(store, { key: recordKey(record.id), bytes, contentType: 'application/json' }, never)
    }
    await outbox.report(storedEvent(record), never)
    answer(number)
  } catch {
    answer(`-${number}`)
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => void report(line))
  .on('close', () => process.exit())
answer('ready')
