import type { Context } from 'koa'
import { isImageId } from '../domain/image-id.ts'
import type { Caller } from '../domain/write-access.ts'
import { RequestError } from '../errors.ts'

/** Who asks, as far as the request says. */
export function callerOf(ctx: Context): Caller {
  const { headers, socket } = ctx.req
  return {
    authorization: headers.authorization,
    peer: socket.remoteAddress,
    host: headers.host,
    origin: headers.origin,
    forwarded: Object.keys(headers).some((name) => name === 'forwarded' || name.startsWith('x-forwarded-')),
  }
}

/** The id in `/images/<id>…`, in lower case. @throws RequestError `invalid_path` */
export function idOf(ctx: Context): string {
  const id = (ctx.path.split('/')[2] ?? '').toLowerCase()
  if (isImageId(id)) return id
  throw new RequestError('invalid_path', 'The id of an image is 40 hexadecimal digits')
}
