// A process that does nothing but own a pool of renderers; for tests of what becomes of them without it.
import { createRendererPool } from '../../src/adapters/renderer/renderer-pool.ts'

const pool = createRendererPool({
  slots: 2,
  engine: { inputFormats: ['jpeg'], maxPixels: 1000, maxFrames: 1, timeoutSeconds: 20, keepCopyright: false },
  meter: { trouble() {} },
})
await pool.ready()
// Idle renderers keep no process running.
setInterval(() => {}, 60_000)
process.stdout.write('ready\n')
