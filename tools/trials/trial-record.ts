import type { ImageRecord } from '../../src/domain/info/image-record.ts'

/** 14 November 2023. */
const FIRST_UPLOAD = 1_700_000_000_000

/**
 * The record of an image of usual size, as the ingest path makes it. The same number gives the same record, as a repeated upload
 * does, also after a crash.
 */
export function trialRecord(number: number): ImageRecord {
  return {
    id: number.toString(16).padStart(40, '0'),
    width: 4000,
    height: 3000,
    format: 'jpeg',
    bytes: 2_345_678,
    alpha: false,
    frames: 1,
    uploadedAt: new Date(FIRST_UPLOAD + number).toISOString(),
    labels: ['news', 'agency'],
    name: `DSC_${number}.JPG`,
    source: 'agency/sport',
  }
}

/** The inverse of `trialRecord`, by the id. */
export function numberOf(id: string): number {
  return Number.parseInt(id, 16)
}
