import { remoteFolder, remotePointerKey } from './store-layout.ts'

/** An object below `remotes/`. */
export interface RemoteObject {
  readonly key: string
  readonly sizeBytes: number
  readonly modifiedAt: Date
}

/** What the store has of one remote image. */
export interface RemoteFolder {
  /** By `resourceId`. */
  readonly resource: string
  readonly objects: number
  readonly bytes: number
  /** When its pointer was written, ms since 1970; without one, when the last of its other objects was. */
  readonly writtenAt: number
}

/** @returns the `resourceId` of the folder that the object is in; undefined for what is not ours. */
function resourceOf(key: string): string | undefined {
  const resource = /^remotes\/[0-9a-f]{2}\/[0-9a-f]{2}\/(?<resource>r[0-9a-f]{40})\/[^/]+$/.exec(key)?.groups?.[
    'resource'
  ]
  return resource !== undefined && key.startsWith(remoteFolder(resource)) ? resource : undefined
}

export function isPointer(key: string, resource: string): boolean {
  return key === remotePointerKey(resource)
}

/** @param objects In bytewise order of their keys, in which those of one image follow each other, its pointer first. */
export async function* remoteFolders(objects: AsyncIterable<RemoteObject>): AsyncIterable<RemoteFolder> {
  let folder: RemoteFolder | undefined
  let hasPointer = false
  for await (const { key, sizeBytes, modifiedAt } of objects) {
    const resource = resourceOf(key)
    if (resource === undefined) continue
    const writtenAt = modifiedAt.getTime()
    if (folder?.resource !== resource) {
      if (folder) yield folder
      folder = { resource, objects: 0, bytes: 0, writtenAt }
      hasPointer = isPointer(key, resource)
    }
    folder = {
      resource,
      objects: folder.objects + 1,
      bytes: folder.bytes + sizeBytes,
      writtenAt: hasPointer ? folder.writtenAt : Math.max(folder.writtenAt, writtenAt),
    }
  }
  if (folder) yield folder
}
