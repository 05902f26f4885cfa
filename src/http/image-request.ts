import type { Context } from 'koa'
import { isImageId } from '../domain/image-id.ts'
import type { SizePolicy } from '../domain/size-policy.ts'
import { assertMayWrite, type Caller, type WriteAccess } from '../domain/write-access.ts'
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

/**
 * Where every URL needs a signature, nobody is to find out without a token what there is. Above all not the record, which has URLs
 * that are signed for ever: whoever was given one for an hour knows the id.
 *
 * @throws RequestError `token_required`
 */
export function assertMayKnow(ctx: Context, policy: SizePolicy, access: WriteAccess): void {
  if (policy.kind === 'signed') assertMayWrite(callerOf(ctx), access)
}

/** The id in `/images/<id>…`, in lower case. @throws RequestError `invalid_path` */
export function idOf(ctx: Context): string {
  const id = (ctx.path.split('/')[2] ?? '').toLowerCase()
  if (isImageId(id)) return id
  throw new RequestError('invalid_path', 'The id of an image is 40 hexadecimal digits')
}
