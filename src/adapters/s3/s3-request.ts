import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { SignatureV4 } from '@smithy/signature-v4'
import type { ObjectAddress } from '../../service/ports/bucket.ts'
import type { S3ClientSettings } from './s3-client.ts'
import { field } from './s3-failure.ts'

/** A request of S3, with or without a signature. */
export type S3Request = Awaited<ReturnType<SignatureV4['presign']>>

export interface ObjectRequest {
  readonly method: 'HEAD' | 'GET'
  readonly address: ObjectAddress
  /** Lower-case names. They are signed. */
  readonly headers: Readonly<Record<string, string>>
}

export interface S3Requests {
  /** Throws the error of the credential chain. */
  build(request: ObjectRequest): Promise<S3Request>
  /** Corrects the clock of the signatures, also of the SDK's, by the time that a response gives. */
  followClock(serverTime: string | undefined): void
}

export interface S3RequestSettings extends Pick<S3ClientSettings, 'credentials'> {
  readonly bucket: string
}

/**
 * Builds requests for the objects of a bucket at a fraction of the SDK's cost. The SDK builds the first: its URL and
 * headers, without the key, are those of all others.
 */
export function createS3Requests(client: S3Client, { bucket, credentials }: S3RequestSettings): S3Requests {
  let template: RequestTemplate | undefined

  return {
    async build({ method, address, headers }) {
      template ??= await templateOf(client, bucket)
      const { request, signer } = template
      const unsigned: S3Request = {
        ...request,
        method,
        path: request.path + encodeKey(address.key),
        query: address.versionId === undefined ? {} : { versionId: address.versionId },
        headers: { ...request.headers, ...headers },
      }
      if (credentials === 'anonymous') return unsigned
      return signer.sign(unsigned, { signingDate: new Date(Date.now() + client.config.systemClockOffset) })
    },

    followClock(serverTime = '') {
      const serverMs = Date.parse(serverTime)
      if (template?.isClockFollowed === true && !Number.isNaN(serverMs))
        client.config.systemClockOffset = serverMs - Date.now()
    },
  }
}

interface RequestTemplate {
  /** Its path ends before the key. */
  readonly request: S3Request
  readonly signer: SignatureV4
  /** By the settings of the SDK. */
  readonly isClockFollowed: boolean
}

const SAMPLE_KEY = 'k'

/** Lets the SDK build a request, and stops it before it is signed and sent. */
async function templateOf(client: S3Client, bucket: string): Promise<RequestTemplate> {
  let template: RequestTemplate | undefined
  const command = new HeadObjectCommand({ Bucket: bucket, Key: SAMPLE_KEY })
  command.middlewareStack.add(
    (_next, context) => async (step) => {
      const { request } = step
      const region = signingRegionOf(context.endpointV2?.properties) ?? client.config.region
      const isClockFollowed = !(await client.config.disableClockSkewCorrection())
      if (isRequest(request))
        template = {
          request: { ...request, path: request.path.slice(0, -SAMPLE_KEY.length) },
          signer: createSigner(client, region),
          isClockFollowed,
        }
      return { response: undefined, output: { $metadata: {} } }
    },
    { name: 'takeRequest', step: 'build', priority: 'low' },
  )
  await client.send(command)
  if (template === undefined) throw new TypeError('The SDK built no request')
  return template
}

function signingRegionOf(endpointProperties: unknown): string | undefined {
  const schemes = field(endpointProperties, 'authSchemes')
  const region = Array.isArray(schemes) ? field(schemes[0], 'signingRegion') : undefined
  return typeof region === 'string' ? region : undefined
}

function isRequest(value: unknown): value is S3Request {
  return typeof value === 'object' && value !== null && 'hostname' in value && 'headers' in value && 'path' in value
}

type Region = ConstructorParameters<typeof SignatureV4>[0]['region']

/** Signs for S3 with the credentials of the client, which are renewed when they expire. */
export function createSigner(client: S3Client, region: Region): SignatureV4 {
  return new SignatureV4({
    service: 's3',
    region,
    credentials: () => client.config.credentials(),
    sha256: client.config.sha256,
    // Of all services, only S3 signs the path as it was sent.
    uriEscapePath: false,
  })
}

/** Servers sign the slashes of a key as they are. */
function encodeKey(key: string): string {
  return percentEncode(key).replaceAll('%2F', '/')
}

/** As signatures require it: `encodeURIComponent` keeps five more characters. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
