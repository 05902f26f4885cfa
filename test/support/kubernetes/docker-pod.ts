import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { dockerEnv, dockerForTests } from '../../../tools/docker/docker-engine.ts'
import { runQuietly } from '../../../tools/processes/process.ts'
import { type Container, configMapData, type Manifest, type Probe, type Workload } from './manifests.ts'

/** A pod of a workload, whose containers Docker runs as the kubelet would: one network, shared volumes, the same rights. */
export interface DockerPod {
  readonly address: string
  /** Whether all probes of that kind succeed now. Containers without one count as successful. */
  probe(kind: 'startupProbe' | 'readinessProbe' | 'livenessProbe'): Promise<boolean>
  /** As the kubelet ends a pod: preStop, SIGTERM, and SIGKILL after the grace period. @returns exit codes by container. */
  end(): Promise<Readonly<Record<string, number>>>
}

export interface DockerPodOptions {
  readonly manifests: readonly Manifest[]
  readonly workload: Workload
  /** Of the pod, and its name in the network. */
  readonly name: string
  /** A Docker network. */
  readonly network: string
  /** By key of the Secret. */
  readonly secrets?: Readonly<Record<string, string>>
  /** Replaces values of the ConfigMap. */
  readonly settings?: Readonly<Record<string, string>>
  /** Replaces the arguments of a container, by its name. */
  readonly args?: Readonly<Record<string, readonly string[]>>
  /** Folders in memory of a container, by its name. */
  readonly folders?: Readonly<Record<string, string>>
}

const docker = (...args: readonly string[]) => runQuietly('docker', args, dockerEnv(dockerForTests()))

/** @returns the name of a network of its own. */
export async function createDockerNetwork(): Promise<string> {
  const name = `darkroom-${randomBytes(4).toString('hex')}`
  await docker('network', 'create', name)
  return name
}

/** After the pods in it are removed. */
export async function removeDockerNetwork(name: string): Promise<void> {
  await docker('network', 'rm', name)
}

/** Starts a pod, and removes it at the end of the test. */
export async function startDockerPod(t: TestContext, options: DockerPodOptions): Promise<DockerPod> {
  const { workload, name, network } = options
  const prefix = `${network}-${name}`
  const { containers, volumes, terminationGracePeriodSeconds: grace } = workload.spec.template.spec
  const files = await mkdtemp(join(tmpdir(), 'darkroom-pod-'))
  const names = [prefix, ...containers.map((each) => `${prefix}-${each.name}`)]
  t.after(async () => {
    await docker('rm', '--force', '--volumes', ...names.toReversed())
    for (const volume of volumes.filter(({ emptyDir }) => emptyDir))
      await docker('volume', 'rm', `${prefix}-${volume.name}`)
    await rm(files, { recursive: true, force: true })
  })
  // It has the network of the pod, as Kubernetes' own.
  await docker(
    'run',
    '--detach',
    '--name',
    prefix,
    '--hostname',
    name,
    '--network',
    network,
    '--network-alias',
    name,
    '--entrypoint',
    'sleep',
    'darkroom',
    'infinity',
  )
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
  const address = (await docker('inspect', '--format', format, prefix)).trim()
  for (const { name: volume, configMap } of volumes) {
    if (configMap === undefined) continue
    await mkdir(join(files, volume))
    for (const [file, text] of Object.entries(configMapData(options.manifests, configMap.name.replace(/-\w+$/, ''))))
      await writeFile(join(files, volume, file), text)
  }
  for (const container of containers) {
    const env = environment(container, options, address)
    await docker(
      'run',
      '--detach',
      '--name',
      `${prefix}-${container.name}`,
      '--network',
      `container:${prefix}`,
      ...rights(workload, container),
      ...mounts(container, { workload, prefix, files, folders: options.folders ?? {} }),
      ...Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
      ...commandLine(container, { args: options.args ?? {}, env }),
    )
  }
  const probe = async (container: Container, kind: ProbeKind): Promise<boolean> => {
    const port = (named: string | number) =>
      typeof named === 'number' ? named : (container.ports.find((each) => each.name === named)?.containerPort ?? 0)
    const asked = container[kind]
    return asked === undefined || (await isHealthy(asked, { address, port, id: `${prefix}-${container.name}` }))
  }
  return {
    address,
    probe: async (kind) => (await Promise.all(containers.map((container) => probe(container, kind)))).every(Boolean),
    async end() {
      const codes = containers.map(async (container) => {
        const id = `${prefix}-${container.name}`
        const command = container.lifecycle?.preStop.exec.command
        // It ends with the container.
        if (command !== undefined) await docker('exec', id, ...command).catch(() => undefined)
        await docker('stop', '--time', String(grace), id)
        const code = await docker('inspect', '--format', '{{.State.ExitCode}}', id)
        return [container.name, Number(code.trim())] as const
      })
      return Object.fromEntries(await Promise.all(codes))
    },
  }
}

type ProbeKind = 'startupProbe' | 'readinessProbe' | 'livenessProbe'

function environment(
  container: Container,
  { manifests, name, secrets = {}, settings = {} }: DockerPodOptions,
  address: string,
): Readonly<Record<string, string>> {
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': name,
    'status.podIP': address,
    'metadata.namespace': 'darkroom',
  }
  const values: Record<string, string> = {}
  for (const { configMapRef } of container.envFrom)
    Object.assign(values, configMapData(manifests, configMapRef.name.replace(/-\w+$/, '')), settings)
  for (const { name: variable, value = '', valueFrom } of container.env) {
    const { fieldRef, resourceFieldRef, secretKeyRef } = valueFrom ?? {}
    const secret = secretKeyRef && secrets[secretKeyRef.key]
    if (secretKeyRef && secret === undefined && !secretKeyRef.optional) throw new Error(`No secret ${secretKeyRef.key}`)
    if (secretKeyRef && secret === undefined) continue
    values[variable] =
      secret ??
      (fieldRef && fields[fieldRef.fieldPath]) ??
      (resourceFieldRef && container.resources.requests['cpu']) ??
      expand(value, values)
  }
  return values
}

/** `$(NAME)`, as Kubernetes replaces it. */
function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\((\w+)\)/g, (all, name: string) => env[name] ?? all)
}

function rights({ spec }: Workload, { securityContext: context, resources }: Container): readonly string[] {
  const { runAsUser, fsGroup } = spec.template.spec.securityContext
  return [
    '--user',
    `${runAsUser}:${runAsUser}`,
    '--group-add',
    String(fsGroup),
    ...(context.readOnlyRootFilesystem ? ['--read-only'] : []),
    ...(context.allowPrivilegeEscalation ? [] : ['--security-opt', 'no-new-privileges:true']),
    ...context.capabilities.drop.flatMap((capability) => ['--cap-drop', capability]),
    '--memory',
    (resources.limits['memory'] ?? '').replace('i', '').toLowerCase(),
  ]
}

interface MountOptions {
  readonly workload: Workload
  readonly prefix: string
  readonly files: string
  readonly folders: Readonly<Record<string, string>>
}

function mounts(container: Container, { workload, prefix, files, folders }: MountOptions): readonly string[] {
  const { volumes } = workload.spec.template.spec
  const own = folders[container.name]
  return [
    ...container.volumeMounts.flatMap(({ name, mountPath, readOnly }) => {
      const isFolder = volumes.some((each) => each.name === name && each.configMap !== undefined)
      const source = isFolder ? join(files, name) : `${prefix}-${name}`
      return ['--volume', `${source}:${mountPath}${readOnly ? ':ro' : ''}`]
    }),
    ...(own === undefined ? [] : ['--tmpfs', `${own}:mode=0700,uid=1000,gid=1000`]),
  ]
}

/** `command` replaces the entry point of an image. */
function commandLine(
  { name, image, command, args }: Container,
  {
    args: others,
    env,
  }: { readonly args: Readonly<Record<string, readonly string[]>>; readonly env: Readonly<Record<string, string>> },
): readonly string[] {
  const [first, ...rest] = command
  const all = [...rest, ...(others[name] ?? args)].map((arg) => expand(arg, env))
  return [...(first === undefined ? [] : ['--entrypoint', first]), image.replace(/:.*/, ''), ...all]
}

interface Probed {
  readonly address: string
  readonly port: (named: string | number) => number
  readonly id: string
}

async function isHealthy({ httpGet, tcpSocket, exec }: Probe, { address, port, id }: Probed): Promise<boolean> {
  const succeeds = (attempt: Promise<unknown>) => attempt.then(Boolean, () => false)
  if (exec) return await succeeds(docker('exec', id, ...exec.command).then(() => true))
  if (httpGet)
    return await succeeds(fetch(`http://${address}:${port(httpGet.port)}${httpGet.path}`).then(({ ok }) => ok))
  return tcpSocket !== undefined && (await canConnect(address, port(tcpSocket.port)))
}

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
