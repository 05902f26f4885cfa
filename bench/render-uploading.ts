import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { upload } from '../tools/servers/darkroom.ts'
import { measureInTurn } from './measure.ts'
import { startNodeProcess } from './node-process.ts'
import { type Load, measureLoad } from './render-load.ts'
import type { RowStage } from './render-originals.ts'
import { uploadingFigures } from './render-row-figures.ts'
import { type UploadingRow, viewsOf } from './render-row-list.ts'
import { isNodeIdle, startEmptyNode } from './render-subjects.ts'
import { type Answer, askEach } from './render-views.ts'

const CLIENTS = 4
const WARM_UP = 8
const SMOKE_UPLOADS = 4
const SUBJECTS = ['ours', 'sharp'] as const

/** CPU of an upload until the node is idle, in comparison with sharp decoding all pixels of the file once. */
export async function benchUploading(row: UploadingRow, { originals, aside, rounds, smoke }: RowStage) {
  const names = originals.photographs.map(({ file }) => file)
  const warmUp = names.slice(smoke ? -1 : -WARM_UP)
  const measured = names.slice(0, smoke ? SMOKE_UPLOADS : viewsOf(row))
  const measure = {
    async ours(): Promise<Load> {
      const node = await startEmptyNode({}, join(aside, 'caches'))
      const uploadAll = (files: readonly string[]) =>
        pLimit(CLIENTS).map(files, async (file) => await uploadFile(node.url, join(originals.folder, file)))
      try {
        await uploadAll(warmUp)
        return (await measureLoad({ pid: node.pid, isIdle: () => isNodeIdle(node) }, () => uploadAll(measured), false))
          .load
      } finally {
        await node.stop()
      }
    },
    async sharp(): Promise<Load> {
      const server = await startNodeProcess('bare-sharp.ts', { IMAGES: originals.folder })
      const decodeAll = async (files: readonly string[]) =>
        await askEach(
          files.map((file) => `http://127.0.0.1:${server.port}/${file}?decode`),
          CLIENTS,
        )
      try {
        await decodeAll(warmUp)
        return (await measureLoad({ pid: server.pid, isIdle: () => true }, () => decodeAll(measured), false)).load
      } finally {
        await server.stop()
      }
    },
  } satisfies Record<(typeof SUBJECTS)[number], () => Promise<Load>>
  const loads = await measureInTurn(SUBJECTS, rounds, (subject) => measure[subject]())
  return { figures: uploadingFigures(row, loads), raw: { loads: Object.fromEntries(loads) } }
}

async function uploadFile(url: string, path: string): Promise<Answer> {
  const file = await readFile(path)
  const began = performance.now()
  const response = await upload(url, file)
  const bytes = Buffer.from(await response.arrayBuffer())
  const { status, headers } = response
  return { bytes, status, type: headers.get('content-type') ?? '', ms: performance.now() - began }
}
