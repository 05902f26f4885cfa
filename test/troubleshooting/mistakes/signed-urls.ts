import { createHmac } from 'node:crypto'
import { formatSignature, signPath } from '../../../src/domain/access/signature.ts'
import type { Mistake } from '../../support/troubleshooting/mistake.ts'
import { attempt } from '../../support/troubleshooting/requests.ts'

interface Signed {
  readonly path: string
  readonly key: string
}

interface SignedMistake extends Omit<Mistake, 'section' | 'make' | 'works'> {
  readonly code: string
  readonly rightCode: string
  /** @returns the signed path, made in the wrong way. */
  readonly wrong: (signed: Signed) => string
  readonly right: (signed: Signed) => string
}

/** The page shows the code that makes the URL, as a signature changes with the key. */
const signed = ({ wrong, right, code, rightCode, ...mistake }: SignedMistake): Mistake => ({
  ...mistake,
  section: 'Signed URLs',
  works: /^200 image\//,
  async make(_, servers) {
    const { url, id, key } = await servers.signed()
    const given = { path: `/image/${id}/400w`, key }
    return {
      wrong: await attempt(url, { path: wrong(given), shown: code }),
      right: await attempt(url, { path: right(given), shown: rightCode }),
    }
  },
})

const sign = (path: string, key: string, expires?: number) => `${path}?${formatSignature(signPath(path, key, expires))}`
const correct = ({ path, key }: Signed) => sign(path, key)

const SIGN = "const s = createHmac('sha256', key).update(path).digest('base64url')"
const NEXT_YEAR = () => Math.floor(Date.now() / 1000) + 31_536_000

export const SIGNED_URLS: readonly Mistake[] = [
  signed({
    title: 'The URL is not signed',
    code: 'GET /image/<id>/400w',
    wrong: ({ path }) => path,
    says: /This image requires a signed URL: the parameter s= is missing/,
    fix: 'The node runs with `SIZE_POLICY=signed`. Create the URL with `scripts/sign-url`, or [in your application](signing.md).',
    rightCode: `${SIGN}\nGET /image/<id>/400w?s=\${s}`,
    right: correct,
  }),
  signed({
    title: 'The path was changed after it was signed',
    code: 'GET /image/<id>/800w?s=…, signed for /image/<id>/400w',
    wrong: ({ path, key }) => correct({ path, key }).replace('400w', '800w'),
    says: /The signature does not match this URL/,
    fix: 'Sign each size of a `srcset` by itself.',
    rightCode: 'GET /image/<id>/800w?s=…, signed for /image/<id>/800w',
    right: ({ path, key }) => sign(path.replace('400w', '800w'), key),
  }),
  signed({
    title: 'The whole URL was signed instead of the path',
    code: "createHmac('sha256', key).update('https://img.example.com/image/<id>/400w')",
    wrong: ({ path, key }) => `${path}?${formatSignature(signPath(`https://img.example.com${path}`, key))}`,
    says: /The signature does not match this URL/,
    fix: 'Sign the path alone, without scheme and host.',
    rightCode: "createHmac('sha256', key).update('/image/<id>/400w')",
    right: correct,
  }),
  signed({
    title: 'The key was decoded from hexadecimal digits',
    code: "createHmac('sha256', Buffer.from(key, 'hex')).update(path)",
    wrong: ({ path, key }) =>
      `${path}?s=${createHmac('sha256', Buffer.from(key, 'hex')).update(path).digest('base64url')}`,
    says: /The signature does not match this URL/,
    fix: 'The key is the text of `URL_KEYS` as it stands, also if it looks like hexadecimal digits.',
    rightCode: "createHmac('sha256', key).update(path)",
    right: correct,
  }),
  signed({
    title: 'The signature is in the usual Base64',
    code: "createHmac('sha256', key).update(path).digest('base64')",
    wrong: ({ path, key }) =>
      `${path}?s=${encodeURIComponent(createHmac('sha256', key).update(path).digest('base64'))}`,
    says: /The signature does not match this URL/,
    fix: 'Use Base64url without padding: `-` for `+`, `_` for `/`, no `=`.',
    rightCode: "createHmac('sha256', key).update(path).digest('base64url')",
    right: correct,
  }),
  signed({
    title: 'The expiry is a date',
    code: 'GET /image/<id>/400w?e=2030-01-01&s=…',
    wrong: ({ path, key }) => `${path}?e=2030-01-01&s=${signPath(`${path}?e=2030-01-01`, key).signature}`,
    says: /The parameter e= should be a Unix time in seconds/,
    fix: 'Write the seconds since 1970, not milliseconds, and sign them with the path.',
    rightCode: 'GET /image/<id>/400w?e=1893456000&s=…, signed for /image/<id>/400w?e=1893456000',
    right: ({ path, key }) => sign(path, key, 1_893_456_000),
  }),
  signed({
    title: 'The signed URL has expired',
    code: 'GET /image/<id>/400w?e=1700000000&s=…',
    wrong: ({ path, key }) => sign(path, key, 1_700_000_000),
    says: /The signature of this URL has expired/,
    fix: 'Make the page anew with a later expiry. A page in a cache must not outlive the URLs in it. Check the clocks of both machines.',
    rightCode: 'GET /image/<id>/400w?e=<in a year>&s=…',
    right: ({ path, key }) => sign(path, key, NEXT_YEAR()),
  }),
]
