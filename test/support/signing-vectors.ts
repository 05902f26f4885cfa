import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const SigningVector = z.strictObject({
  name: z.string(),
  /** Of URL_KEYS. */
  key: z.string().min(16),
  /** What `url` is made of; absent for an upload. */
  object: z
    .strictObject({ bucket: z.string(), key: z.string(), picture: z.string(), versionId: z.string().optional() })
    .optional(),
  remote: z.strictObject({ url: z.url(), size: z.string(), format: z.string().optional() }).optional(),
  /** Canonical, without scheme and host. */
  url: z.string(),
  /** Unix time in seconds. */
  expires: z.number().int().positive().optional(),
  /** What the signature is computed of. */
  text: z.string(),
  /** `url` with its signature. */
  signed: z.string(),
})
export type SigningVector = z.infer<typeof SigningVector>

/** The file that docs/signing.md refers to. */
export const SIGNING_VECTORS_FILE = fileURLToPath(new URL('../../examples/signing/vectors.json', import.meta.url))

/** The published test vectors of signed URLs. */
export function readSigningVectors(): readonly SigningVector[] {
  return z.array(SigningVector).parse(JSON.parse(readFileSync(SIGNING_VECTORS_FILE, 'utf8')))
}
