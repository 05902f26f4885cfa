import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { dockerEnv, dockerForTests } from '../../tools/docker/docker-engine.ts'
import { copyCheckout, MINIO_IMAGE, PROMETHEUS_IMAGE, RABBITMQ_IMAGE } from '../../tools/docker/docker-images.ts'
import { freePort, isFree } from '../../tools/processes/free-port.ts'
import { runQuietly } from '../../tools/processes/process.ts'

/** Debian's Compose 1.29, or another version. */
const COMMAND = process.env['DARKROOM_TEST_COMPOSE'] ?? 'docker-compose'
const DEFAULT_NOFILE = 65_536

/** A fresh clone with its `docker-compose`, on ports that are free. */
export interface ComposeProject {
  readonly folder: string
  /** What two fronts have, in no fixed order. */
  readonly frontUrls: readonly [string, string]
  readonly s3Endpoint: string
  readonly consoleUrl: string
  readonly prometheusUrl: string
  readonly ftpPorts: { readonly ftp: number; readonly sftp: number }
  readonly indexerUrl: string
  /** Runs `docker-compose` in the clone. @returns its standard output. */
  compose(...args: readonly string[]): Promise<string>
  docker(...args: readonly string[]): Promise<string>
  /** Addresses of the nodes, which the front alone uses otherwise. */
  nodeUrls(): Promise<readonly string[]>
  /** Ids of the running containers of a service. */
  containerIds(service: string): Promise<readonly string[]>
  /** Metrics of HAProxy, of each running front. */
  frontMetrics(): Promise<readonly string[]>
  /** Exit codes of all containers that are not running, by the name of their service. */
  exitCodes(): Promise<Readonly<Record<string, readonly number[]>>>
  uploadToken(): Promise<string>
}

/** Copies the checkout and takes its containers and volumes down at the end of the test. Starts nothing. */
export async function createProject(t: TestContext, files: readonly string[] = []): Promise<ComposeProject> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-clone-'))
  await copyCheckout(folder)
  const front = await twoPorts()
  const [minio, console, prometheus] = [await freePort(), await freePort(), await freePort()]
  const [ftp, sftp, indexer, passive] = [await freePort(), await freePort(), await freePort(), await twoPorts()]
  const name = `darkroom-${front}`
  const env = {
    ...dockerEnv(dockerForTests()),
    COMPOSE_PROJECT_NAME: name,
    ...(files.length > 0 && { COMPOSE_FILE: files.join(':') }),
    MINIO_IMAGE,
    PROMETHEUS_IMAGE,
    RABBITMQ_IMAGE,
    FRONT_PORT: `${front}-${front + 1}`,
    MINIO_PORT: String(minio),
    MINIO_CONSOLE_PORT: String(console),
    PROMETHEUS_PORT: String(prometheus),
    FTP_PORT: String(ftp),
    SFTP_PORT: String(sftp),
    FTP_PASSIVE_PORTS: `${passive}-${passive + 1}`,
    INDEXER_PORT: String(indexer),
    ...(files.includes('docker-compose.intake.yml') && { PUBLIC_URL: `http://127.0.0.1:${front}` }),
    NOFILE_LIMIT: String(await openFilesLimit()),
  }
  const docker = (...args: readonly string[]) => runQuietly('docker', args, env)
  const compose = (...args: readonly string[]) => runQuietly('env', ['--chdir', folder, COMMAND, ...args], env)
  t.after(async () => {
    try {
      await compose('--profile', 'monitoring', 'down', '--volumes', '--timeout', '20')
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
  const containers = async (format: string) => {
    const label = `label=com.docker.compose.project=${name}`
    const said = await docker(
      'ps',
      '--all',
      '--filter',
      label,
      '--format',
      `{{.Label "com.docker.compose.service"}} ${format}`,
    )
    return said.trim().split('\n')
  }
  const containerIds = async (service: string) => {
    const lines = (await containers('{{.ID}} {{.State}}')).map((line) => line.split(' '))
    return lines.flatMap(([of, id = '', state]) => (of === service && state === 'running' ? [id] : []))
  }
  const addresses = async (service: string) => {
    const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
    return (await docker('inspect', '--format', format, ...(await containerIds(service)))).trim().split('\n')
  }
  return {
    folder,
    frontUrls: [`http://127.0.0.1:${front}`, `http://127.0.0.1:${front + 1}`],
    s3Endpoint: `http://127.0.0.1:${minio}`,
    consoleUrl: `http://127.0.0.1:${console}`,
    prometheusUrl: `http://127.0.0.1:${prometheus}`,
    ftpPorts: { ftp, sftp },
    indexerUrl: `http://127.0.0.1:${indexer}`,
    compose,
    docker,
    containerIds,
    nodeUrls: async () => (await addresses('node')).map((address) => `http://${address}:8080`),
    frontMetrics: async () =>
      Promise.all(
        (await addresses('front')).map(async (address) => (await fetch(`http://${address}:8405/metrics`)).text()),
      ),
    async exitCodes() {
      const codes: Record<string, number[]> = {}
      for (const line of await containers('{{.Status}}')) {
        const { service = '', code = '' } = /^(?<service>\S+) Exited \((?<code>\d+)\)/.exec(line)?.groups ?? {}
        if (service !== '') (codes[service] ??= []).push(Number(code))
      }
      return codes
    },
    uploadToken: async () => (await compose('exec', '-T', 'node', 'cat', '/secrets/node/upload-token')).trim(),
  }
}

/** Resolves when the URL answers 200. The time limit of the test ends it. */
export async function untilOk(url: string): Promise<void> {
  while (
    !(await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    ))
  )
    await delay(50)
}

async function twoPorts(): Promise<number> {
  for (;;) {
    const first = await freePort()
    if (await isFree(first + 1)) return first
  }
}

/** As many open files as compose asks for by default, or as this machine can give. */
export async function openFilesLimit(): Promise<number> {
  const [, hard = ''] = /^Max open files +\S+ +(\S+)/m.exec(await readFile('/proc/self/limits', 'utf8')) ?? []
  return hard === 'unlimited' ? DEFAULT_NOFILE : Math.min(Number(hard), DEFAULT_NOFILE)
}
