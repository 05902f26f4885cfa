import { BUCKET_ROWS } from './bucket-rows.ts'
import { CDN_ROWS } from './cdn-rows.ts'
import { CLIENT_ROWS } from './client-rows.ts'
import { DAMAGE_ROWS } from './damage-rows.ts'
import { DISK_ROWS } from './disk-rows.ts'
import { EXPIRY_ROWS } from './expiry-rows.ts'
import { FRONT_ROWS } from './front-rows.ts'
import { MEMBER_ROWS } from './member-rows.ts'
import { PROCESS_ROWS } from './process-rows.ts'
import { RELAY_ROWS } from './relay-rows.ts'
import { REMOTE_ROWS } from './remote-rows.ts'
import { REPLICA_ROWS } from './replica-rows.ts'
import type { FaultRow } from './row.ts'
import { STORE_ROWS } from './store-rows.ts'
import { UPLOAD_ROWS } from './upload-rows.ts'

/** All rows of the table, in its order. */
export const ALL_ROWS: readonly FaultRow[] = [
  ...STORE_ROWS,
  ...DAMAGE_ROWS,
  ...BUCKET_ROWS,
  ...UPLOAD_ROWS,
  ...DISK_ROWS,
  ...EXPIRY_ROWS,
  ...CLIENT_ROWS,
  ...PROCESS_ROWS,
  ...FRONT_ROWS,
  ...REMOTE_ROWS,
  ...RELAY_ROWS,
  ...REPLICA_ROWS,
  ...CDN_ROWS,
  ...MEMBER_ROWS,
].toSorted((a, b) => a.row - b.row)
