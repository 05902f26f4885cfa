import type { Socket } from 'node:net'
import { remoteFailed } from './remote-failure.ts'

/** More than undici's own limit for headers, and than a socket reads ahead into a body. That limit counts neither the
 * status line nor informational answers, which can be endless as well. */
const MAX_READ_BYTES = 262_144

/**
 * Destroys the socket, with a RemoteError, if the head of the next answer is late or endless. undici's own timers are
 * exact to a second or so, and start anew with every informational answer.
 *
 * @returns To be called when the head has come, or nobody waits for it any more.
 */
export function guardHead(socket: Socket, timeoutMs: number): () => void {
  const readBefore = socket.bytesRead
  const onReadable = (): void => {
    if (socket.bytesRead - readBefore > MAX_READ_BYTES)
      socket.destroy(remoteFailed('sent response headers that are too large'))
  }
  const timer = setTimeout(() => socket.destroy(remoteFailed('did not start to respond in time')), timeoutMs)
  socket.on('readable', onReadable)
  return () => {
    clearTimeout(timer)
    socket.off('readable', onReadable)
  }
}
