import type { Context } from 'koa'
import type { SizePolicy } from '../../domain/access/size-policy.ts'
import { assertHoldsToken, type Guarded, holdsToken, type WriteAccess } from '../../domain/access/write-access.ts'
import { isImageId } from '../../domain/identity/image-id.ts'
import { RequestError } from '../../errors.ts'

/** @throws RequestError `token_required`, `tokens_not_configured` */
export function assertMay(wanted: Guarded, ctx: Context, access: WriteAccess): void {
  assertHoldsToken(wanted, ctx.req.headers.authorization, access)
}

/** Whether the request has a token. */
export function isTrusted(ctx: Context, access: WriteAccess): boolean {
  return holdsToken(ctx.req.headers.authorization, access)
}

/**
 * Where every URL needs a signature, nobody is to find out without a token what there is. Above all not the record, which has URLs
 * that are signed for ever: whoever was given one for an hour knows the id.
 *
 * @throws RequestError `token_required`, `tokens_not_configured`
 */
export function assertMayKnow(ctx: Context, policy: SizePolicy, access: WriteAccess): void {
  if (policy.kind === 'signed') assertMay('record', ctx, access)
}

/** The id in `/images/<id>…`, in lower case. @throws RequestError `invalid_path` */
export function idOf(ctx: Context): string {
  const id = (ctx.path.split('/')[2] ?? '').toLowerCase()
  if (isImageId(id)) return id
  throw new RequestError('invalid_path', 'An image id must have 40 hexadecimal digits')
}
