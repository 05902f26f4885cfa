// A renderer: the decoders and encoders in a process of their own, started by a node.
import { serveRenderer } from './adapters/renderer/renderer-process.ts'

const send = process.send?.bind(process)
if (send === undefined) {
  process.stderr.write('A renderer is started by a node; run npm start instead\n')
  process.exitCode = 2
} else {
  // A signal to the whole process group, such as ctrl-C, is for the node, which ends its renderers when they are idle.
  // Without a node the renderer ends.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
  const end = () => process.kill(process.pid, 'SIGKILL')
  process.on('disconnect', end)
  serveRenderer({
    listen: (listener) => process.on('message', listener),
    // If the node was killed, sending a result may fail before the channel is closed.
    send: (message) => send(message, undefined, undefined, (error) => error !== null && end()),
    residentBytes: () => process.memoryUsage.rss(),
  })
}
