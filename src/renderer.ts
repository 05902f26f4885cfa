// A renderer: the decoders and encoders in a process of their own, started by a node and by nobody else.
import { serveRenderer } from './adapters/renderer/renderer-process.ts'

const send = process.send?.bind(process)
if (send === undefined) {
  process.stderr.write('A renderer is started by a node; run npm start instead\n')
  process.exitCode = 2
} else {
  // A signal that goes to the whole group, as ctrl-C does, is for the node: it ends its renderers when they have nothing
  // left to do. Without a node there is nothing to do, and nothing that could be lost.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
  const end = () => process.kill(process.pid, 'SIGKILL')
  process.on('disconnect', end)
  serveRenderer({
    listen: (listener) => process.on('message', listener),
    // A node that was killed may be found gone by an answer before the channel is found closed.
    send: (message) => send(message, undefined, undefined, (error) => error !== null && end()),
    residentBytes: () => process.memoryUsage.rss(),
  })
}
