import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../../tools/processes/free-port.ts'
import { commandOutput } from '../../../tools/processes/process.ts'
import { ensureOldNode } from '../../../tools/servers/install-servers.ts'
import { newStore, temporaryFolder } from '../../../tools/servers/site.ts'
import type { Mistake } from '../../support/troubleshooting/mistake.ts'
import {
  READY,
  readiness,
  startInVain,
  startMistake,
  startReady,
  startUnready,
} from '../../support/troubleshooting/nodes.ts'

const NOBODY = 65_534
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
const KEY = '943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881'
const section = 'Starting a node'

export const STARTING: readonly Mistake[] = [
  startMistake({
    title: 'A setting is misspelled',
    wrong: { UPLOAD_TOKEN: KEY },
    says: /UPLOAD_TOKEN: unknown setting\. Did you mean UPLOAD_TOKENS\?/,
    fix: 'Copy the name from [settings](settings.md), or from `npm start -- --help`.',
    right: { UPLOAD_TOKENS: KEY },
  }),
  startMistake({
    title: 'A number has a unit',
    wrong: { DRAIN_SECONDS: '5s' },
    says: /DRAIN_SECONDS: should be a whole number, written without a unit/,
    fix: 'The name of the setting contains the unit. Only amounts of bytes have one: `64M`, `2G`.',
    right: { DRAIN_SECONDS: '5' },
  }),
  startMistake({
    title: 'An amount of bytes has an unknown unit',
    wrong: { MAX_UPLOAD_BYTES: '64 megabytes' },
    says: /MAX_UPLOAD_BYTES: should be a number of bytes such as 1048576, 64M or 2G/,
    fix: 'K, M, G and T are powers of 1024.',
    right: { MAX_UPLOAD_BYTES: '64M' },
  }),
  startMistake({
    title: 'A value is out of range',
    wrong: { PORT: '80800' },
    says: /PORT: should be at most 65535/,
    fix: 'The allowed values are in [settings](settings.md).',
    right: { PORT: '18080' },
  }),
  {
    section,
    title: 'The port is in use',
    says: /PORT: another process already listens on 127\.0\.0\.1, port \d+/,
    fix: 'Stop the other process (`ss -ltnp` shows it), or choose another port.',
    works: READY,
    async make(t, servers) {
      const { url } = await servers.open()
      const { answer } = await startInVain(t, { PORT: new URL(url).port })
      const right = await startReady(t, { PORT: String(await freePort()) })
      const port = /port (?<port>\d+)/.exec(answer)?.groups?.['port'] ?? ''
      return {
        wrong: {
          done: 'PORT=8080 npm start',
          answer: answer.replaceAll(port, '8080').replaceAll(String(Number(port) + 1), '8081'),
        },
        right: { ...right, done: 'PORT=8081 npm start' },
      }
    },
  },
  startMistake({
    title: 'The node listens on an address of another machine',
    wrong: { HOST: '192.0.2.1' },
    says: /HOST: 192\.0\.2\.1 is not an address of this machine/,
    fix: '`HOST` is the address to listen on, not the name in URLs. That is `PUBLIC_URL`.',
    right: { HOST: '127.0.0.1', PUBLIC_URL: 'https://img.example.com' },
  }),
  startMistake({
    title: 'PUBLIC_URL has no scheme',
    wrong: { PUBLIC_URL: 'img.example.com' },
    says: /PUBLIC_URL: should begin with http:\/\/ or https:\/\//,
    fix: 'Write the URL as a browser shows it.',
    right: { PUBLIC_URL: 'https://img.example.com' },
  }),
  startMistake({
    title: 'STORE is the name of a bucket',
    wrong: { STORE: 'photos' },
    says: /STORE: should be file:<folder> or s3:\/\/<bucket>/,
    fix: 'Write `s3://` in front of the name of the bucket, or `file:` in front of a folder.',
    right: { STORE: 's3://photos' },
    inS3: true,
  }),
  startMistake({
    title: 'S3_ENDPOINT has no scheme',
    wrong: { STORE: 's3://photos', S3_ENDPOINT: 'minio:9000' },
    says: /S3_ENDPOINT: should begin with http:\/\/ or https:\/\//,
    fix: 'Write the scheme and the port of the S3 API. The console of MinIO has another port.',
    right: { STORE: 's3://photos', S3_ENDPOINT: 'http://minio:9000' },
    inS3: true,
  }),
  startMistake({
    title: 'The settings of S3 are there, but STORE is not',
    wrong: { S3_ENDPOINT: 'http://minio:9000' },
    says: /S3_ENDPOINT: has no effect without STORE=s3:\/\/<bucket>/,
    fix: 'The bucket is in `STORE`; there is no `S3_BUCKET`.',
    right: { STORE: 's3://photos', S3_ENDPOINT: 'http://minio:9000' },
    inS3: true,
  }),
  startMistake({
    title: 'The access key has no secret',
    wrong: { STORE: 's3://photos', AWS_ACCESS_KEY_ID: 'darkroom' },
    says: /AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: should be set together/,
    fix: 'Set both, or neither: then the node uses the role of the machine.',
    right: { STORE: 's3://photos', AWS_ACCESS_KEY_ID: 'darkroom', AWS_SECRET_ACCESS_KEY: '…' },
    inS3: true,
  }),
  startMistake({
    title: 'The upload token is short',
    wrong: { UPLOAD_TOKENS: 'secret' },
    says: /UPLOAD_TOKENS: each entry should have at least 16 characters/,
    fix: 'Generate it, and give the same to all nodes.',
    right: { UPLOAD_TOKENS: KEY },
  }),
  startMistake({
    title: 'Signed URLs have no key',
    wrong: { SIZE_POLICY: 'signed' },
    says: /URL_KEYS: is required with SIZE_POLICY=signed/,
    fix: 'Generate a key, and give the same to all nodes and to the application that signs.',
    right: { SIZE_POLICY: 'signed', URL_KEYS: KEY },
  }),
  startMistake({
    title: 'A list of sizes is not in use',
    wrong: { SIZES: '400w 800w' },
    says: /SIZES: has no effect without SIZE_POLICY=list or steps/,
    fix: 'Set the policy too: otherwise clients could ask for any size.',
    right: { SIZES: '400w 800w', SIZE_POLICY: 'list' },
  }),
  startMistake({
    title: 'All remote hosts are allowed',
    wrong: { REMOTE_HOSTS: '*' },
    says: /REMOTE_HOSTS: "\*" requires SIZE_POLICY=signed/,
    fix: 'Name the hosts, or sign the URLs. Otherwise the node is an open proxy.',
    right: { REMOTE_HOSTS: 'example.com *.example.org' },
  }),
  startMistake({
    title: 'A proxy is trusted by its name',
    wrong: { TRUSTED_PROXIES: 'nginx' },
    says: /TRUSTED_PROXIES: "nginx" should be an address or a CIDR block/,
    fix: 'Write the address or the network of the proxy. For containers that is the network of the bridge.',
    right: { TRUSTED_PROXIES: '172.16.0.0/12' },
  }),
  startMistake({
    title: 'A dialect has no prefix',
    wrong: { DIALECTS: 'imgproxy' },
    says: /DIALECTS: "imgproxy" should [^\n]+/,
    fix: 'Write where the grammar is available: a prefix, or a host name.',
    right: { DIALECTS: 'imgproxy=/imgproxy' },
  }),
  startMistake({
    title: 'ACCEL_PREFIX has no slashes',
    wrong: { ACCEL_PREFIX: '_renditions' },
    says: /ACCEL_PREFIX: should begin and end with a slash, such as \/_renditions\//,
    fix: 'Write the prefix as in `nginx.conf`. Without nginx, leave the setting out.',
    right: { ACCEL_PREFIX: '/_renditions/' },
  }),
  {
    section,
    title: 'The buckets file contains a secret',
    says: /BUCKETS_FILE: buckets\.photos\.secretAccessKey: should name an environment variable/,
    fix: 'Write the name of a variable, and put the secret where the other secrets are.',
    works: READY,
    async make(t) {
      const file = join(await temporaryFolder(t), 'buckets.yaml')
      const { bucket, endpoint, credentials } = (await newStore()).settings
      const write = (secretAccessKey: string) =>
        writeFile(
          file,
          JSON.stringify({ buckets: { photos: { bucket, endpoint, accessKeyId: '$KEY', secretAccessKey } } }),
        )
      await write('the-secret-itself')
      const accessKey = String(credentials?.accessKeyId)
      const wrong = await startInVain(t, { BUCKETS_FILE: file, KEY: accessKey })
      await write('$SECRET')
      const right = await startReady(t, {
        BUCKETS_FILE: file,
        KEY: accessKey,
        SECRET: String(credentials?.secretAccessKey),
      })
      const shown = (secret: string, more: string) =>
        `# buckets.yaml\nbuckets: { photos: { accessKeyId: $KEY, secretAccessKey: ${secret} } }\n` +
        `BUCKETS_FILE=buckets.yaml KEY=darkroom ${more}npm start`
      return {
        wrong: { ...wrong, done: shown('the-secret-itself', '') },
        right: { ...right, done: shown('$SECRET', 'SECRET=… ') },
      }
    },
  },
  {
    section,
    title: 'The buckets file does not exist',
    says: /BUCKETS_FILE: ENOENT: no such file or directory/,
    fix: 'Correct the path. In a container it is the path inside the container.',
    works: READY,
    async make(t) {
      const folder = await temporaryFolder(t)
      const file = join(folder, 'darkroom-buckets.yaml')
      await writeFile(file, 'buckets: {}')
      return {
        wrong: await startInVain(t, { BUCKETS_FILE: join(folder, 'buckets.yml') }),
        right: await startReady(t, { BUCKETS_FILE: file }),
      }
    },
  },
  {
    section,
    title: 'The cache folder belongs to another user',
    says: /CACHE_DIR: EACCES: permission denied/,
    fix: 'Create the folder for the user of the node, as in [production setup](../README.md#production-setup).',
    works: READY,
    async make(t) {
      const folder = await temporaryFolder(t)
      await chmod(folder, 0o777)
      const CACHE_DIR = join(folder, 'cache')
      await mkdir(CACHE_DIR, { mode: 0o755 })
      const wrong = await startInVain(t, { CACHE_DIR }, { through: AS_NOBODY })
      await chown(CACHE_DIR, NOBODY, NOBODY)
      const node = await startUnready(t, { CACHE_DIR, STORE: `file:${folder}/data` }, AS_NOBODY)
      return { wrong, right: { done: 'sudo chown darkroom: /var/cache/darkroom', answer: await readiness(node) } }
    },
  },
  {
    section,
    title: 'The sources are run by an old Node',
    says: /Unknown file extension "\.ts"/,
    fix: 'Start with `npm start`, which uses the Node 24 that is installed as a dependency.',
    works: READY,
    async make(t) {
      const old = join(await ensureOldNode(), 'node')
      const said = await startInVain(t, {}, { node: old })
      const version = (await commandOutput(old, ['--version'])) ?? ''
      const line = said.answer.split('\n').find((each) => each.includes('ERR_UNKNOWN_FILE_EXTENSION')) ?? ''
      return {
        wrong: { done: `node src/main.ts   # Node ${version.trim()}`, answer: line },
        right: await startReady(t, {}),
      }
    },
  },
]
