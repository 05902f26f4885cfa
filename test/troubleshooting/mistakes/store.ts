import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { freePort } from '../../../tools/processes/free-port.ts'
import type { Scope } from '../../../tools/processes/scope.ts'
import { TOKEN } from '../../../tools/requests/token.ts'
import { createTestClient, READER_CREDENTIALS } from '../../../tools/s3/s3-server.ts'
import { s3ForTests } from '../../../tools/s3/start-s3-server.ts'
import { startFaultProxy } from '../../../tools/servers/fault-proxy.ts'
import { newStore, temporaryFolder } from '../../../tools/servers/site.ts'
import type { Mistake } from '../../support/troubleshooting/mistake.ts'
import { doctorSays, type Env, READY, readiness, startUnready } from '../../support/troubleshooting/nodes.ts'

const section = 'The store'

interface StoreMistake extends Omit<Mistake, 'section' | 'make' | 'works'> {
  /** What is set wrongly, for the page and for the node. @param env Of a node that works. */
  readonly wrong: (env: Env, t: Scope) => Env | Promise<Env>
  readonly done: string
  /** What is set instead, for the page. */
  readonly instead: string
}

/** A setting with which a node runs without being ready, and the right one. */
const store = ({ wrong, done, instead, ...mistake }: StoreMistake): Mistake => ({
  ...mistake,
  section,
  works: READY,
  async make(t) {
    const { env } = await newStore()
    const broken = await startUnready(t, { ...env, ...(await wrong(env, t)) })
    const node = await startUnready(t, env)
    return {
      wrong: { done, answer: await untilSaid(broken, mistake.says) },
      right: { done: instead, answer: await untilSaid(node, READY) },
    }
  },
})

/** The first answer of /readyz that has this text: the node looks at the store after its start. The test's timeout ends it. */
async function untilSaid(node: { readonly url: string }, says: RegExp): Promise<string> {
  for (;;) {
    const answer = await readiness(node)
    if (says.test(answer)) return answer
    await delay(50)
  }
}

const STORE = 'STORE=s3://photos S3_ENDPOINT=http://minio:9000'

export const STORE_MISTAKES: readonly Mistake[] = [
  store({
    title: 'The secret of the store is wrong',
    done: `${STORE} AWS_ACCESS_KEY_ID=darkroom AWS_SECRET_ACCESS_KEY=<another> npm start`,
    wrong: () => ({ AWS_SECRET_ACCESS_KEY: 'a-wrong-secret' }),
    says: /The object store rejects the credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/,
    fix: 'Correct them, and start the node again. Quotes in an `EnvironmentFile` and a `$` in a compose file change the value.',
    instead: `${STORE} AWS_ACCESS_KEY_ID=darkroom AWS_SECRET_ACCESS_KEY=<the secret> npm start`,
  }),
  store({
    title: 'There are no credentials for the store',
    done: `${STORE} npm start`,
    wrong: () => ({ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_EC2_METADATA_DISABLED: 'true' }),
    says: /No credentials for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/,
    fix: 'Set both. `sudo` and systemd do not pass on the variables of your shell.',
    instead: `${STORE} AWS_ACCESS_KEY_ID=darkroom AWS_SECRET_ACCESS_KEY=<the secret> npm start`,
  }),
  {
    section,
    title: 'The bucket does not exist',
    says: /The bucket does not exist in the object store: create it, or correct STORE/,
    fix: 'Darkroom does not create buckets. Create it; a running node notices that.',
    works: READY,
    async make(t) {
      const { env } = await newStore()
      const bucket = `test-missing-${randomUUID()}`
      const node = await startUnready(t, { ...env, STORE: `s3://${bucket}` })
      const wrong = await untilSaid(node, /bucket does not exist/)
      const client = createTestClient(await s3ForTests())
      t.after(() => client.destroy())
      await client.send(new CreateBucketCommand({ Bucket: bucket }))
      return {
        wrong: { done: `${STORE} … npm start`, answer: wrong },
        right: { done: 'aws --endpoint-url http://minio:9000 s3 mb s3://photos', answer: await untilSaid(node, READY) },
      }
    },
  },
  store({
    title: 'The store speaks plain HTTP, but the endpoint says https',
    done: 'STORE=s3://photos S3_ENDPOINT=https://minio:9000 … npm start',
    wrong: ({ S3_ENDPOINT = '' }) => ({ S3_ENDPOINT: S3_ENDPOINT.replace('http:', 'https:') }),
    says: /S3_ENDPOINT should start with http:\/\/ instead of https:\/\//,
    fix: 'Correct the scheme.',
    instead: `${STORE} … npm start`,
  }),
  store({
    title: 'The store is not reachable',
    done: 'STORE=s3://photos S3_ENDPOINT=http://minio:9001 … npm start',
    wrong: async () => ({ S3_ENDPOINT: `http://127.0.0.1:${await freePort()}` }),
    says: /The object store is unreachable/,
    fix: 'Check host and port, and that a firewall lets this machine connect: `curl -I http://minio:9000` must answer. In a container, `localhost` is the container itself.',
    instead: `${STORE} … npm start`,
  }),
  {
    section,
    title: 'The clock of the node is wrong',
    says: /the clock of this machine is [^\n]+ behind the S3 server/i,
    fix: 'Set the clock by NTP: a signed request to S3 is valid for 15 minutes.',
    works: /^ok clock: /,
    async make(t) {
      const { env, endpoint } = await newStore()
      const proxy = await startFaultProxy({ target: endpoint })
      t.after(proxy.stop)
      const own = { CACHE_DIR: await temporaryFolder(t), PORT: String(await freePort()) }
      const settings = { ...env, ...own, S3_ENDPOINT: proxy.endpoint, UPLOAD_TOKENS: TOKEN }
      const date = new Date(Date.now() + 600_000).toUTCString()
      await proxy.setFault({ kind: 'headers', headers: { date }, matching: { method: /^HEAD$/, path: /^\/$/ } })
      const wrong = await doctorSays('clock', settings, [])
      await proxy.setFault(undefined)
      const right = await doctorSays('clock', settings, [])
      return { wrong, right: { ...right, done: `timedatectl set-ntp true\n${right.done}` } }
    },
  },
  {
    section,
    title: 'The user of the store may only read',
    says: /fails to put: The object store rejects the credentials/,
    fix: 'Give the user the policy that the message names. A node without `UPLOAD_TOKENS` only reads.',
    works: /^ok store: /,
    async make() {
      const { env } = await newStore()
      const settings = { ...env, UPLOAD_TOKENS: TOKEN, PORT: String(await freePort()) }
      const reader = {
        AWS_ACCESS_KEY_ID: READER_CREDENTIALS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: READER_CREDENTIALS.secretAccessKey,
      }
      return {
        wrong: await doctorSays('store', { ...settings, ...reader }, []),
        right: await doctorSays('store', settings, []),
      }
    },
  },
]
