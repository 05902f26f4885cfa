import { batchesSince, OUTBOX_PREFIX } from '../../src/domain/stored/outbox-batch.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import { putBytes, readText } from '../../src/service/tools/small-object.ts'
import { trialRecord } from './trial-record.ts'

const never = new AbortController().signal

export interface Damage {
  /** Batches that are not delivered yet. Milliseconds since 1970. */
  readonly since: number
  readonly isRecorded: (number: number) => boolean
  readonly random: () => number
}

/** Flips a bit of the line of an event whose image has a record. @returns the key of the batch. */
export async function damageBatch(store: ObjectStore, { since, isRecorded, random }: Damage): Promise<string> {
  for await (const key of store.list(OUTBOX_PREFIX, batchesSince(since), never)) {
    const text = (await readText(store, key, never)) ?? ''
    const numbers = [...text.matchAll(/"subject":"([0-9a-f]{40})"/g)].map((found) =>
      Number.parseInt(found[1] ?? '', 16),
    )
    const number = numbers.find(isRecorded)
    if (number === undefined) continue
    const bytes = Buffer.from(text)
    const start = text.lastIndexOf('\n', text.indexOf(`"subject":"${trialRecord(number).id}"`)) + 1
    const at = start + (random() % (text.indexOf('\n', start) - start))
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (random() % 8)), at)
    await putBytes(store, { key, bytes, contentType: 'text/plain', overwrite: true }, never)
    return key
  }
  throw new Error('No batch has an event of an image with a record')
}
