import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3'

/**
 * An ETag is an MD5 only where the whole object was put at once and the store doesn't encrypt with a key of its own.
 *
 * @returns lower-case hex, or undefined.
 */
export function md5Of(head: HeadObjectCommandOutput): string | undefined {
  const { ETag = '', ServerSideEncryption, SSECustomerAlgorithm } = head
  const plain = ServerSideEncryption === undefined || ServerSideEncryption === 'AES256'
  if (!plain || SSECustomerAlgorithm !== undefined) return undefined
  return /^"?([0-9a-f]{32})"?$/i.exec(ETag)?.[1]?.toLowerCase()
}
