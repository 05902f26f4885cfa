import { createHash } from 'node:crypto'
import { parseSizeHints } from '../../domain/access/prime-sizes.ts'
import type { SizePolicy } from '../../domain/access/size-policy.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { RequestError } from '../../errors.ts'
import type { FormRules } from './upload-body.ts'

/** The fields of Reticulum's form of upload. */
const FIELDS = { image: 'image', key: 'key', hints: 'size_hints' } as const

export interface ReticulumFormOptions {
  /** True if nothing has to be shown any more. */
  readonly mayWrite: boolean
  readonly isKey: (key: string) => boolean
  readonly policy: SizePolicy
  /** Reads a size among the hints. */
  readonly readSpec: (text: string) => Spec
  /** The file comes before the key. What it throws refuses the form; what it returns is called when the key was right. */
  readonly onUnproven: () => () => void
}

export interface ReticulumForm extends FormRules {
  /** What the file is to be made in ahead. To be asked for when the form has been read. */
  readonly sizes: readonly Spec[]
  /** Hex SHA-1 of the file. To be asked for once, when the form has been read. */
  sha1(): string
}

/** Reads such a form. A key is checked as soon as it is there: a wrong one keeps what follows it from being taken in. */
export function reticulumForm({ mayWrite, isKey, policy, readSpec, onUnproven }: ReticulumFormOptions): ReticulumForm {
  const hash = createHash('sha1')
  let isProven = mayWrite
  let release = () => {}
  let sizes: readonly Spec[] = []
  return {
    get sizes() {
      return sizes
    },
    sha1: () => hash.digest('hex'),
    onField(name, value) {
      if (name === FIELDS.hints) sizes = parseSizeHints(FIELDS.hints, value, policy, readSpec)
      if (name !== FIELDS.key || isProven) return
      if (!isKey(value)) throw keyRequired('Invalid key. ')
      isProven = true
      release()
    },
    onFile(field) {
      if (field !== FIELDS.image) {
        throw new RequestError(
          'invalid_upload',
          `Unexpected file field "${field}": send the image in the field "${FIELDS.image}"`,
        )
      }
      if (!isProven) release = onUnproven()
    },
    onBytes: (chunk) => void hash.update(chunk),
    onEnd() {
      if (!isProven) throw keyRequired()
    },
  }
}

function keyRequired(mistake = ''): RequestError {
  return new RequestError(
    'token_required',
    `${mistake}Uploading requires a token: send it in the field "${FIELDS.key}", or as "Authorization: Bearer <token>"`,
  )
}
