import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Container, Manifest, Workload } from './manifests.ts'
import { workloads } from './manifests.ts'

const ROOT = join(import.meta.dirname, '../../..')
const ENTRYPOINT = 'packaging/docker/start.sh'
/** Commands of the image that are no files of the repository. */
const COMMANDS = ['sh', 'haproxy']
/** Debian's nginx and HAProxy wait for this long for requests in progress, see worker_shutdown_timeout. */
const GRACE_SECONDS = 60

/** What is wrong with the pods themselves, a sentence each. */
export function podProblems(manifests: readonly Manifest[]): readonly string[] {
  return workloads(manifests).flatMap((workload) =>
    [
      ...confinement(workload),
      ...volumes(workload),
      ...probes(workload),
      ...commands(workload),
      ...ending(workload),
    ].map((problem) => `${workload.metadata.name}: ${problem}`),
  )
}

function* confinement({ spec: { template } }: Workload): Generator<string> {
  const { containers, securityContext, ...pod } = template.spec
  if (!securityContext.runAsNonRoot || securityContext.runAsUser === 0) yield 'may run as root'
  if (securityContext.seccompProfile.type !== 'RuntimeDefault') yield 'has no filter of system calls'
  if (pod.automountServiceAccountToken) yield 'has a token for the API of the cluster'
  if (pod.enableServiceLinks) yield 'gets variables of services'
  for (const { name, image, resources, securityContext: context } of containers) {
    if (!context.readOnlyRootFilesystem) yield `${name} can write to its root`
    if (context.allowPrivilegeEscalation || context.privileged) yield `${name} can gain rights`
    if (context.capabilities.drop.join() !== 'ALL' || context.capabilities.add.length > 0)
      yield `${name} has capabilities`
    if (!/:\d+\.\d+\.\d+$/.test(image)) yield `the version of the image of ${name} is open`
    for (const [kind, resource] of [
      ['requests', 'cpu'],
      ['requests', 'memory'],
      ['limits', 'memory'],
    ] as const) {
      if (resources[kind][resource] === undefined) yield `${name} ${kind} no ${resource}`
    }
  }
}

function* volumes({ spec }: Workload): Generator<string> {
  const { volumes: own, containers } = spec.template.spec
  const names = [...own.map(({ name }) => name), ...spec.volumeClaimTemplates.map(({ metadata }) => metadata.name)]
  for (const name of names.filter((each, index) => names.indexOf(each) !== index))
    yield `two volumes are called ${name}`
  for (const { name, emptyDir } of own) {
    if (emptyDir !== undefined && emptyDir.sizeLimit === undefined) yield `${name} has no limit`
  }
  for (const container of containers) {
    for (const { name } of container.volumeMounts) {
      if (!names.includes(name)) yield `${container.name} mounts ${name}, which does not exist`
    }
  }
  const mounted = containers.flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name))
  for (const name of names.filter((each) => !mounted.includes(each))) yield `nothing mounts ${name}`
}

function* probes({ spec: { template } }: Workload): Generator<string> {
  const { containers } = template.spec
  const numbers = containers.flatMap(({ ports }) => ports.map(({ containerPort }) => containerPort))
  for (const { name, ports, ...container } of containers) {
    const all = [container.startupProbe, container.readinessProbe, container.livenessProbe].filter(
      (probe) => probe !== undefined,
    )
    if (container.livenessProbe === undefined) yield `nothing looks whether ${name} lives`
    for (const { httpGet, tcpSocket } of all) {
      const port = httpGet?.port ?? tcpSocket?.port
      const isKnown = typeof port === 'number' ? numbers.includes(port) : ports.some((each) => each.name === port)
      if (port !== undefined && !isKnown) yield `a probe of ${name} asks port ${port}, where nothing listens`
    }
  }
  if (containers.every(({ readinessProbe }) => readinessProbe === undefined)) yield 'is ready from the beginning'
}

function* commands({ spec: { template } }: Workload): Generator<string> {
  const roles = readFileSync(join(ROOT, ENTRYPOINT), 'utf8')
  for (const container of template.spec.containers) {
    for (const command of commandsOf(container)) {
      const [file = ''] = command
      if (!COMMANDS.includes(file) && !existsSync(join(ROOT, file))) yield `${container.name}: there is no ${file}`
    }
    const [role = ''] = container.args
    if (container.command.length === 0 && !new RegExp(`^  ${role}\\) `, 'm').test(roles))
      yield `${ENTRYPOINT} has no role "${role}" for ${container.name}`
  }
}

function commandsOf({ command, lifecycle, ...container }: Container): readonly (readonly string[])[] {
  const probed = [container.startupProbe, container.readinessProbe, container.livenessProbe]
  const all = [command, lifecycle?.preStop.exec.command, ...probed.map((probe) => probe?.exec?.command)]
  return all.filter((each) => each !== undefined && each.length > 0).map((each) => each ?? [])
}

function* ending({ spec: { template } }: Workload): Generator<string> {
  const { terminationGracePeriodSeconds: grace, containers } = template.spec
  if (grace <= GRACE_SECONDS + 5) yield `is killed after ${grace} s, before requests in progress have ended`
  for (const { name, ports, lifecycle } of containers) {
    if (ports.some((port) => port.name === 'http') && lifecycle === undefined)
      yield `${name} ends before others know that it does`
  }
}
