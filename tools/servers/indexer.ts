import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import { parseWebhookSecret, webhookHeaders } from '../../src/domain/info/webhook.ts'
import type { Scope } from '../processes/scope.ts'

const Events = z.array(z.object({ subject: z.string() }))

/** A webhook that checks signatures as Standard Webhooks describes it, and counts the events that it accepts. */
export interface Indexer {
  readonly url: string
  answer: '204' | '302' | '503' | 'silent'
  readonly posts: number
  /** How often each subject was accepted. */
  readonly subjects: ReadonlyMap<string, number>
}

/** @param onEvent Called for each accepted event with its subject. */
export async function startIndexer(
  scope: Scope,
  secret: string,
  onEvent: (subject: string) => void = () => {},
): Promise<Indexer> {
  const subjects = new Map<string, number>()
  const state: { answer: Indexer['answer']; posts: number } = { answer: '204', posts: 0 }

  function accept(body: string): void {
    for (const { subject } of Events.parse(JSON.parse(body))) {
      subjects.set(subject, (subjects.get(subject) ?? 0) + 1)
      onEvent(subject)
    }
  }

  const server = createServer((request, response) => {
    void text(request).then((body) => {
      state.posts += 1
      if (state.answer === 'silent') return
      const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signature } = request.headers
      const expected = webhookHeaders({ id: String(id), body }, [parseWebhookSecret(secret)], Number(time))
      const isAuthentic =
        expected['webhook-signature'] === signature && Math.abs(Number(time) - Date.now() / 1000) < 300
      if (isAuthentic && state.answer === '204') accept(body)
      response.writeHead(isAuthentic ? Number(state.answer) : 401, { Location: '/elsewhere' }).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return {
    url: `http://127.0.0.1:${address.port}/events`,
    subjects,
    get posts() {
      return state.posts
    },
    get answer() {
      return state.answer
    },
    set answer(answer) {
      state.answer = answer
    },
  }
}
