import type { Middleware } from 'koa'
import { z } from 'zod'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import { rejectedEvent } from '../../domain/info/image-event.ts'
import { LABEL_PATTERN, LABEL_RULE, MAX_LABELS } from '../../domain/info/image-labels.ts'
import { parseJson } from '../../domain/text/json-text.ts'
import { RequestError } from '../../errors.ts'
import type { Outbox } from '../../service/library/outbox.ts'
import { API_HEADERS } from '../answer/error-response.ts'
import { assertMay, type RequestState } from '../request/request-state.ts'
import { readSmallBody } from '../request/small-body.ts'

export interface RejectionHandlerOptions {
  readonly outbox: Pick<Outbox, 'report'>
  readonly access: WriteAccess
}

const BODY = { maxBytes: 16 * 1024, onBreak: 'invalid_event' } as const

const Text = z.string().transform((text) => text.replaceAll(/\p{Cc}/gu, '').toWellFormed())

const Report = z.strictObject({
  type: z.literal('image.rejected'),
  data: z.strictObject({
    path: z.string().min(1).max(1024).pipe(Text),
    source: z.string().max(128).pipe(Text).default(''),
    labels: z.array(z.string().regex(LABEL_PATTERN, LABEL_RULE)).max(MAX_LABELS).default([]),
    bytes: z.int().min(0),
    error: z.string().regex(/^[a-z0-9_]{1,64}$/, 'should be a code such as original_broken'),
    message: z.string().max(1000).pipe(Text),
    arrivedAt: z.iso.datetime({ offset: true, error: 'should be a time such as 2026-11-30T20:15:00.000Z' }),
  }),
})

/** JSON schema of the body. */
export const REJECTION_REPORT = z.toJSONSchema(Report, { io: 'input' })

/** `POST /events`: an unattended entry point reports a rejected file. `202` when its event is durable. */
export function rejectionHandler({ outbox, access }: RejectionHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    assertMay('rejection', ctx, access)
    const { arrivedAt, ...file } = parseReport(await readSmallBody(ctx.req, BODY, ctx.state.signal))
    const event = rejectedEvent({ ...file, arrivedAt: Date.parse(arrivedAt) })
    await outbox.report(event, ctx.state.signal)
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'no-store' })
    ctx.status = 202
    ctx.body = { id: event.id }
  }
}

/** @throws RequestError `invalid_event` with all mistakes. */
function parseReport(text: string) {
  const report = Report.safeParse(parseJson(text))
  if (report.success) return report.data.data
  const mistakes = report.error.issues.map(({ path, message }) => [...path.map(String), message].join(': '))
  throw new RequestError('invalid_event', `The body is not an event image.rejected: ${mistakes.join('; ')}`)
}
