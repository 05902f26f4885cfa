import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { freePort } from '../../../tools/processes/free-port.ts'
import { rawRequest } from '../../../tools/requests/raw-request.ts'
import { TOKEN } from '../../../tools/requests/token.ts'
import { fixture } from '../../../tools/servers/darkroom.ts'
import { newStore, startNodeFor, temporaryFolder } from '../../../tools/servers/site.ts'
import { DOCTOR } from '../../support/doctor.ts'
import type { Attempt, Mistake } from '../../support/troubleshooting/mistake.ts'
import { doctorSays } from '../../support/troubleshooting/nodes.ts'
import { attempt, CURL_TOKEN, curlUpload, writing } from '../../support/troubleshooting/requests.ts'

const section = 'Operating'
const SIGN_URL = resolve(import.meta.dirname, '../../../scripts/sign-url')

function signUrl(env: Readonly<Record<string, string>>, done: string): Promise<Attempt> {
  return new Promise((finish) => {
    execFile(SIGN_URL, ['/image/82343c717326f81108374e694e36782edb04a441/400w'], { env }, (_, stdout, stderr) => {
      finish({ done, answer: `${stderr}${stdout}`.trim() })
    })
  })
}

/** Another address of this machine stands for its address in the network. */
const FROM_ELSEWHERE = '127.0.0.2'

async function askFromElsewhere(port: number): Promise<string> {
  try {
    const { status } = await rawRequest(`http://${FROM_ELSEWHERE}:${port}`, '/healthz')
    return String(status)
  } catch (error) {
    if (error instanceof Error && 'code' in error) return `connect ${String(error.code)}`
    throw error
  }
}

export const OPERATING: readonly Mistake[] = [
  {
    section,
    title: 'The node cannot be reached from other machines',
    says: /connect ECONNREFUSED/,
    fix: 'By default a node listens on loopback, for the nginx of the same machine. Set `HOST` if clients, a load balancer or other containers connect to it directly.',
    works: /^200$/,
    async make(t) {
      const closed = await startNodeFor(t)
      const open = await startNodeFor(t, { env: { HOST: '0.0.0.0' } })
      const done = 'curl http://<address of the machine>:8080/healthz'
      return {
        wrong: { done: `npm start\n${done}`, answer: await askFromElsewhere(closed.port) },
        right: { done: `HOST=0.0.0.0 npm start\n${done}`, answer: await askFromElsewhere(open.port) },
      }
    },
  },
  {
    section,
    title: 'Uploads are refused although the client sends a token',
    says: /403 tokens_not_configured: [^\n]+/,
    fix: 'Set `UPLOAD_TOKENS` on every node. A node generates a token only with default settings, when it listens on loopback only.',
    works: /^20[01] application\/json/,
    async make(t) {
      const { env } = await newStore()
      const body = await fixture('fig-alpha.png')
      const upload = curlUpload(`--data-binary @photo.png -H 'Content-Type: image/png' ${CURL_TOKEN}`, {
        headers: writing('image/png'),
        body,
      })
      const without = await startNodeFor(t, { env: { ...env, UPLOAD_TOKENS: '' } })
      const node = await startNodeFor(t, { env })
      const right = await attempt(node.url, upload)
      return {
        wrong: await attempt(without.url, upload),
        right: { ...right, done: `STORE=s3://photos … UPLOAD_TOKENS=$TOKEN npm start\n${right.done}` },
      }
    },
  },
  {
    section,
    title: 'Too few open files are allowed',
    says: /A process may open only 256 files and sockets, so connections fail under load/,
    fix: 'Raise the limit where the node is started, and start it again.',
    works: /^ok open files: /,
    async make(t) {
      const folder = await temporaryFolder(t)
      const env = { STORE: `file:${folder}/data`, CACHE_DIR: `${folder}/cache`, PORT: String(await freePort()) }
      const limited = (files: number) =>
        doctorSays(
          'open files',
          { ...env, UPLOAD_TOKENS: TOKEN },
          ['--local', '--nginx-user=root'],
          ['/bin/sh', '-c', `ulimit -n ${files} && exec "$0" "$@"`, DOCTOR],
        )
      const right = await limited(8192)
      return {
        wrong: await limited(256),
        right: { ...right, done: `ulimit -n 8192\n${right.done}` },
      }
    },
  },
  {
    section,
    title: 'The command that signs URLs has no key',
    says: /sign-url: URL_KEYS: is required, with the keys of the node; the first one signs/,
    fix: 'Give the command the setting of the node. It reads no file.',
    works: /^\/image\/<id>\/400w\?s=/,
    make: async () => ({
      wrong: await signUrl({ PATH: process.env['PATH'] ?? '' }, 'scripts/sign-url /image/<id>/400w'),
      right: await signUrl(
        { PATH: process.env['PATH'] ?? '', URL_KEYS: 'a-key-of-this-example' },
        'URL_KEYS=a-key-of-this-example scripts/sign-url /image/<id>/400w',
      ),
    }),
  },
]
