import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { BucketEvent } from '../../src/domain/url/bucket-event.ts'
import type { S3Access } from '../../tools/s3/s3-server.ts'
import { awsCli } from './aws-cli.ts'

/** Something that happens to a bucket, and what the bucket has to tell of it. */
export interface StoryStep {
  readonly name: string
  act(): Promise<readonly Omit<BucketEvent, 'bucket'>[]>
}

const KEYS = [
  'plain.jpg',
  'with space/a b.jpg',
  'plus+plus',
  'percent%2Fslash%25',
  'composed é'.normalize('NFC'),
  'decomposed é'.normalize('NFD'),
  '猫/😀',
  '.hidden/..twice/...',
  `?x=1&y=2#z;:@=,'"<>`,
]

/** All that can come and go in a bucket that is empty, one after the other. */
export function bucketStory(client: S3Client, Bucket: string, access: S3Access): readonly StoryStep[] {
  const etagOf = async (Key: string): Promise<string> => {
    const { ETag = '' } = await client.send(new HeadObjectCommand({ Bucket, Key }))
    return ETag
  }
  const put = async (Key: string, Body = `of ${Key}`) => {
    const { ETag: etag = '', VersionId } = await client.send(new PutObjectCommand({ Bucket, Key, Body }))
    return [{ key: Key, kind: 'created', etag, ...(VersionId !== undefined && { versionId: VersionId }) }] as const
  }
  const remove = async (Key: string, VersionId?: string) => {
    await client.send(new DeleteObjectCommand({ Bucket, Key, ...(VersionId !== undefined && { VersionId }) }))
    return [{ key: Key, kind: 'removed', ...(VersionId !== undefined && { versionId: VersionId }) }] as const
  }
  // Ceph 16.2.15's gateway crashes at this one, in any bucket that sends notifications.
  const removeSeveral = async () => {
    const keys = ['plus+plus', '猫/😀']
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } }))
    return keys.map((key) => ({ key, kind: 'removed' }) as const)
  }
  const cli = (...args: readonly string[]) => awsCli(access, ['s3', ...args, '--only-show-errors'])
  let version = ''
  let marker = ''

  return [
    ...KEYS.map((key) => ({ name: `a put of ${key}`, act: () => put(key) })),
    { name: 'an overwriting', act: () => put('plain.jpg', 'other bytes') },
    {
      name: 'an upload in parts',
      async act() {
        const Key = 'in parts+'
        const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
        const part = { Bucket, Key, UploadId, PartNumber: 1 } as const
        const { ETag } = await client.send(new UploadPartCommand({ ...part, Body: 'a part' }))
        const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
        await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }))
        return [{ key: Key, kind: 'created', etag: await etagOf(Key) }]
      },
    },
    {
      name: 'a copy',
      async act() {
        const Key = 'a copy of it'
        await client.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/plain.jpg` }))
        return [{ key: Key, kind: 'created', etag: await etagOf(Key) }]
      },
    },
    {
      name: 'tags, which are nothing to us, and a removal',
      async act() {
        const Tagging = { TagSet: [{ Key: 'colour', Value: 'red' }] }
        await client.send(new PutObjectTaggingCommand({ Bucket, Key: 'plain.jpg', Tagging }))
        return remove('plain.jpg')
      },
    },
    { name: 'a removal of an encoded key', act: () => remove('percent%2Fslash%25') },
    ...(access.kind === 'ceph' ? [] : [{ name: 'a removal of several at once', act: removeSeveral }]),
    {
      name: 'cp, mv and rm of the AWS CLI',
      async act() {
        const folder = await mkdtemp(join(tmpdir(), 'darkroom-story-'))
        try {
          const file = join(folder, 'file')
          await writeFile(file, 'a file')
          await cli('cp', file, `s3://${Bucket}/cli/a b+é%20.jpg`)
          const etag = await etagOf('cli/a b+é%20.jpg')
          await cli('mv', `s3://${Bucket}/cli/a b+é%20.jpg`, `s3://${Bucket}/cli/moved`)
          await cli('rm', `s3://${Bucket}/cli/moved`)
          return [
            { key: 'cli/a b+é%20.jpg', kind: 'created', etag },
            { key: 'cli/moved', kind: 'created', etag },
            { key: 'cli/a b+é%20.jpg', kind: 'removed' },
            { key: 'cli/moved', kind: 'removed' },
          ]
        } finally {
          await rm(folder, { recursive: true, force: true })
        }
      },
    },
    {
      name: 'a put with versions',
      async act() {
        const VersioningConfiguration = { Status: 'Enabled' } as const
        await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
        const events = await put('versioned')
        version = events[0].versionId ?? 'none'
        return events
      },
    },
    { name: 'an overwriting with versions', act: () => put('versioned', 'second') },
    { name: 'a removal of one version', act: () => remove('versioned', version) },
    {
      name: 'a removal that leaves a mark',
      async act() {
        const { VersionId } = await client.send(new DeleteObjectCommand({ Bucket, Key: 'versioned' }))
        marker = VersionId ?? 'none'
        return [{ key: 'versioned', kind: 'removed' }]
      },
    },
    { name: 'a removal of that mark', act: () => remove('versioned', marker) },
  ]
}
