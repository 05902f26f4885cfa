import { cp, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { commandOutput, runQuietly } from '../processes/process.ts'
import { findCommand } from '../servers/debian-packages.ts'
import { copyRegistrySettings, ensureDebianRoot } from '../servers/debian-root.ts'
import { ensureMinio, ensureMinioClient, ensurePrometheus } from '../servers/install-servers.ts'
import { buildImage, type DockerEngine, dockerEnv } from './docker-engine.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const DEBIAN = 'darkroom-test/debian'
export const MINIO_IMAGE = 'darkroom-test/minio'
export const PROMETHEUS_IMAGE = 'darkroom-test/prometheus'
export const RABBITMQ_IMAGE = 'darkroom-test/rabbitmq'

/**
 * Makes all images of docker-compose.yml and docker-compose.intake.yml but Grafana's, without a registry of images: the base of the
 * Dockerfile from Debian's packages and the locked Node, those of MinIO and Prometheus from the binaries that the other tests run,
 * and that of RabbitMQ from Debian's package.
 */
export async function makeImages({ host }: DockerEngine): Promise<void> {
  process.stderr.write('Building the images, which takes a minute or two\n')
  const importing = 'tar --create --directory "$0" . | docker import - "$1"'
  await runQuietly('bash', ['-o', 'pipefail', '-c', importing, await ensureDebianRoot(), DEBIAN], dockerEnv(host))
  await buildNodeBase(host)
  await buildFrom(host, MINIO_IMAGE, {
    files: { minio: await ensureMinio(), mc: await ensureMinioClient() },
    steps: ['COPY minio mc /usr/bin/', 'ENTRYPOINT ["minio"]'],
  })
  await buildFrom(host, PROMETHEUS_IMAGE, {
    files: { prometheus: await ensurePrometheus() },
    steps: [
      'COPY prometheus /bin/',
      'RUN mkdir /prometheus && chown nobody:nogroup /prometheus',
      'USER nobody',
      'VOLUME /prometheus',
      'ENTRYPOINT ["/bin/prometheus"]',
      // As in the image of Prometheus itself.
      'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]',
    ],
  })
  await buildBroker(host)
  await inFolder(async (folder) => {
    await copyCheckout(folder)
    await buildImage({ host, tag: 'darkroom', folder })
    await buildImage({ host, tag: 'darkroom-ftp', folder, file: 'packaging/docker/ftp.Dockerfile' })
    await buildImage({ host, tag: 'darkroom-indexer', folder: join(folder, 'examples/indexer') })
  })
}

interface Recipe {
  /** Paths by name in the folder of the Dockerfile. */
  readonly files: Readonly<Record<string, string>>
  /** Lines of the Dockerfile after FROM. */
  readonly steps: readonly string[]
}

/** What `node:24-bookworm-slim` has of Node, with the registries of this machine. */
async function buildNodeBase(host: string): Promise<void> {
  const command = await findCommand('npm')
  if (command === undefined) throw new Error('npm not found. Please install it: it becomes a part of the image')
  // The command is a link to npm/bin/npm-cli.js.
  const npm = dirname(dirname(await realpath(command)))
  await inFolder(async (settings) => {
    await copyRegistrySettings(settings)
    await buildFrom(host, 'node:24-bookworm-slim', {
      files: { settings, npm, node: join(ROOT, `node_modules/node-linux-${process.arch}/bin/node`) },
      steps: [
        'COPY settings /',
        'COPY node /usr/local/bin/',
        'COPY npm /usr/local/lib/node_modules/npm',
        'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm',
        'RUN useradd --user-group --create-home --uid 1000 node',
      ],
    })
  })
}

async function buildBroker(host: string): Promise<void> {
  await inFolder(async (settings) => {
    await copyRegistrySettings(settings)
    const install = 'apt-get install --yes --no-install-recommends rabbitmq-server'
    await buildFrom(host, RABBITMQ_IMAGE, {
      files: { settings, 'docker-entrypoint.sh': join(ROOT, 'tools/docker/rabbitmq-entrypoint.sh') },
      steps: [
        'COPY settings /',
        `RUN apt-get update && ${install} && rm -rf /var/lib/apt/lists/*`,
        'COPY docker-entrypoint.sh /usr/local/bin/',
        'VOLUME /var/lib/rabbitmq',
      ],
    })
  })
}

async function buildFrom(host: string, tag: string, { files, steps }: Recipe): Promise<void> {
  await inFolder(async (folder) => {
    for (const [name, path] of Object.entries(files)) await cp(path, join(folder, name), { recursive: true })
    await writeFile(join(folder, 'Dockerfile'), `${[`FROM ${DEBIAN}`, ...steps].join('\n')}\n`)
    await buildImage({ host, tag, folder })
  })
}

/** Copies all files of this work tree that git does not ignore, as a fresh clone has them. */
export async function copyCheckout(folder: string): Promise<void> {
  const list = await commandOutput('git', ['-C', ROOT, 'ls-files', '--cached', '--others', '--exclude-standard'])
  for (const path of list?.split('\n') ?? []) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await cp(join(ROOT, path), join(folder, path), { verbatimSymlinks: true })
  }
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-image-'))
  try {
    await body(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
