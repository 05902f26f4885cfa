type Given = Readonly<Record<string, string | undefined>>

interface Mode {
  /** They have no effect in any other mode. */
  readonly settings: readonly string[]
  readonly needs: string
  readonly isOn: (given: Given) => boolean
}

const hasDialect =
  (...names: readonly string[]) =>
  ({ DIALECTS = '' }: Given): boolean =>
    names.some((name) => new RegExp(`(?:^|\\s)${name}=`).test(DIALECTS))

const MODES: readonly Mode[] = [
  {
    settings: ['SIZES', 'SIZES_FALLBACK'],
    needs: 'SIZE_POLICY=list',
    isOn: ({ SIZE_POLICY = 'open' }) => SIZE_POLICY !== 'open' && SIZE_POLICY !== 'signed',
  },
  {
    settings: ['URL_KEYS'],
    needs: 'SIZE_POLICY=signed',
    isOn: ({ SIZE_POLICY = 'open' }) => SIZE_POLICY !== 'open' && SIZE_POLICY !== 'list',
  },
  {
    settings: ['S3_ENDPOINT', 'S3_REGION', 'S3_FORCE_PATH_STYLE'],
    needs: 'STORE=s3://<bucket>',
    isOn: ({ STORE = 'file:' }) => !STORE.startsWith('file:'),
  },
  {
    settings: ['THUMBOR_KEYS', 'THUMBOR_HASH', 'THUMBOR_SIGNATURE_LENGTH', 'THUMBOR_BASE'],
    needs: 'thumbor or imagor in DIALECTS, such as DIALECTS=thumbor=/thumbor',
    isOn: hasDialect('thumbor', 'imagor'),
  },
  {
    settings: ['IMGPROXY_KEYS', 'IMGPROXY_SIGNATURE_BYTES', 'IMGPROXY_BASE'],
    needs: 'imgproxy in DIALECTS, such as DIALECTS=imgproxy=/imgproxy',
    isOn: hasDialect('imgproxy'),
  },
  { settings: ['IPX_BASE'], needs: 'ipx in DIALECTS, such as DIALECTS=ipx=/ipx', isOn: hasDialect('ipx') },
  {
    settings: ['DIALECT_FORMAT'],
    needs: 'DIALECTS, such as DIALECTS=thumbor=/thumbor',
    isOn: ({ DIALECTS }) => DIALECTS !== undefined,
  },
]

/**
 * Settings of a mode that is off: the operator expects an effect that they do not have. An invalid mode counts as on,
 * since its own mistake is reported. The AWS_ variables are exempt: other programs on the machine use them too.
 *
 * @returns the mistakes.
 */
export function settingsWithoutMode(given: Given): readonly string[] {
  return MODES.filter(({ isOn }) => !isOn(given)).flatMap(({ settings, needs }) =>
    settings
      .filter((name) => given[name] !== undefined)
      .map((name) => `${name}: has no effect without ${needs}; set that, or unset ${name}`),
  )
}

/** Mounted dialects without signatures, which SIZE_POLICY=signed excludes. @param given Variables that are not blank. */
export function unsignedDialects(given: Readonly<Record<string, string | undefined>>): string[] {
  if (given['SIZE_POLICY'] !== 'signed') return []
  const isSigned = { thumbor: given['THUMBOR_KEYS'], imagor: given['THUMBOR_KEYS'], imgproxy: given['IMGPROXY_KEYS'] }
  const names = (given['DIALECTS'] ?? '').split(/\s+/).map((word) => word.replace(/=.*/, ''))
  return names.filter(
    (name) =>
      name === 'ipx' || (name in isSigned && !Object.entries(isSigned).some(([known, keys]) => known === name && keys)),
  )
}
