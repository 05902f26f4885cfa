import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { createServerFolder, runQuietly, startServer } from '../processes/process.ts'
import { ensureDocker } from '../servers/install-servers.ts'

const SCRIPT = join(import.meta.dirname, './docker-engine.sh')
const SHARED_ENGINE = 'DARKROOM_TEST_DOCKER'
const READY_MS = 60_000
/** To end containers that are left, which get ten seconds, and to remove their mounts. */
const ENDS_WITHIN_MS = 60_000
const NETWORKS = Array.from({ length: 40 }, (_, index) => `10.${210 + index}`)

/** A Docker engine that runs for the tests alone. */
export interface DockerEngine {
  /** Its address, for `DOCKER_HOST`. */
  readonly host: string
  /** Ends it and all that it started. @throws Error if a mount or a network is left. */
  stop(): Promise<void>
}

/**
 * Starts dockerd with its data in a temporary folder, beside any other engine; installs Docker first where it can.
 * @throws Error that says what this machine has to allow.
 */
export async function startDockerEngine(): Promise<DockerEngine> {
  await ensureDocker()
  const folder = await createServerFolder('docker')
  const host = `unix://${join(folder, 'docker.sock')}`
  const network = freeNetwork()
  try {
    const { stop } = await startServer({
      name: 'dockerd',
      command: 'bash',
      args: [SCRIPT, folder, network],
      folder,
      isReady: async () => (await runQuietly('docker', ['version'], dockerEnv(host))) !== '',
      readyTimeoutMs: READY_MS,
      endsWithinMs: ENDS_WITHIN_MS,
    })
    return {
      host,
      async stop() {
        await stop()
        await assertNothingLeft(folder, network)
      },
    }
  } catch (cause) {
    throw new Error(
      'No Docker engine runs here. It needs root with the rights to mount, to make network bridges and namespaces, and to write ' +
        `to /sys/fs/cgroup; a container needs --privileged. The reason: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  }
}

/** The address of the engine that the test run has started, with the images of `makeImages`. */
export function dockerForTests(): string {
  const host = process.env[SHARED_ENGINE]
  if (host === undefined)
    throw new Error('These tests run by npm run test:docker, which starts a Docker engine for them')
  return host
}

/** Makes `dockerForTests` of all processes started from now on use this engine. */
export function shareDockerEngine({ host }: DockerEngine): void {
  process.env[SHARED_ENGINE] = host
}

/** The environment of `docker` and `docker-compose`. */
export function dockerEnv(host: string): NodeJS.ProcessEnv {
  // Without a builder that would have to be downloaded.
  return { ...process.env, DOCKER_HOST: host, DOCKER_BUILDKIT: '0', COMPOSE_DOCKER_CLI_BUILD: '0' }
}

export interface ImageSource {
  readonly host: string
  readonly tag: string
  /** Folder with the Dockerfile and what it copies. */
  readonly folder: string
  /** Path of the Dockerfile in it. Default: `Dockerfile`. */
  readonly file?: string
}

/** Builds an image on the network of this machine, so that packages come from where this machine has them from. */
export async function buildImage({ host, tag, folder, file = 'Dockerfile' }: ImageSource): Promise<void> {
  const options = ['--quiet', '--network', 'host', '--tag', tag, '--file', join(folder, file)]
  await runQuietly('docker', ['build', ...options, folder], dockerEnv(host))
}

async function assertNothingLeft(folder: string, network: string): Promise<void> {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').filter((line) => line.includes(` ${folder}/`))
  const left = [...mounts, ...addresses().filter((address) => address.startsWith(`${network}.`))]
  if (left.length > 0) throw new Error(`The Docker engine has left behind: ${left.join(', ')}`)
}

function addresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((ofOne = []) => ofOne.map(({ address }) => address))
}

/** @returns The first two numbers of addresses that no interface of this machine has. */
function freeNetwork(): string {
  const taken = addresses()
  const free = NETWORKS.find((network) => !taken.some((address) => address.startsWith(`${network}.`)))
  if (free === undefined)
    throw new Error(`Interfaces of this machine have addresses in all networks of ${NETWORKS.join(', ')}`)
  return free
}
