import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, Env, loadConfig } from '../../../src/config/env.ts'
import { type Container, configMapData, type Manifest, workloads } from './manifests.ts'

const ROOT = join(import.meta.dirname, '../../..')
/** Variables that are no settings of the node: of start.sh, and parts of others. */
const OTHERS = ['NGINX_WORKERS', 'POD_IP']
const SECRET = /TOKEN|SECRET|KEYS?$|PASSWORD/
/** What Kubernetes knows. */
const FIELDS: Readonly<Record<string, string>> = { 'metadata.name': 'darkroom-0', 'status.podIP': '10.1.2.3' }
const A_SECRET = 'a-secret-that-is-long-enough'

/** What is wrong with the settings of the nodes, and with ports that are in settings. A sentence each. */
export function settingProblems(manifests: readonly Manifest[]): readonly string[] {
  const containers = workloads(manifests).flatMap(({ spec }) => spec.template.spec.containers)
  const nodes = containers.filter(({ envFrom }) => envFrom.length > 0)
  const [listening] = containers.flatMap(({ args, ports }) => (args.includes('nginx') ? ports : []))
  return [
    ...nodes.flatMap((container) => [...problemsOf(container, manifests)]),
    ...listenPorts(containers, manifests),
    ...(nodes.some((node) => node.env.some(({ value }) => value === `$(POD_IP):${listening?.containerPort}`))
      ? []
      : ['NODE_ADDRESS has another port than nginx']),
  ]
}

function* problemsOf(container: Container, manifests: readonly Manifest[]): Generator<string> {
  const data = configMapData(manifests, 'darkroom-settings')
  const known = new Set(Object.keys(Env.shape))
  for (const name of [...Object.keys(data), ...container.env.map((each) => each.name)]) {
    if (!known.has(name) && !OTHERS.includes(name)) yield `${container.name}: there is no setting ${name}`
  }
  for (const name of Object.keys(data)) {
    if (SECRET.test(name)) yield `the secret ${name} is in a ConfigMap`
  }
  for (const { name, value } of container.env) {
    if (SECRET.test(name) && value !== undefined) yield `the secret ${name} is in ${container.name}`
  }
  try {
    loadConfig({ ...imageSettings(), ...data, ...variablesOf(container) })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    yield `${container.name}: ${error.message}`
  }
}

/** ENV of the Dockerfile. */
function imageSettings(): Readonly<Record<string, string>> {
  const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ')
  const [, env = ''] = /^ENV (.*)$/m.exec(text) ?? []
  const known = new Set(Object.keys(Env.shape))
  const entries = [...env.matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value] as const)
  return Object.fromEntries(entries.filter(([name]) => known.has(name)))
}

/** Variables of a container as Kubernetes resolves them. */
function variablesOf({ env, resources }: Container): Readonly<Record<string, string>> {
  const values: Record<string, string> = {}
  for (const { name, value, valueFrom } of env) {
    const { fieldRef, resourceFieldRef, secretKeyRef } = valueFrom ?? {}
    const [, resource = ''] = resourceFieldRef?.resource.split('.') ?? []
    values[name] =
      (fieldRef && FIELDS[fieldRef.fieldPath]) ??
      (resourceFieldRef && resources.requests[resource]) ??
      (secretKeyRef && A_SECRET) ??
      (value ?? '').replaceAll(/\$\((\w+)\)/g, (_, other: string) => values[other] ?? '')
  }
  return values
}

/** Ports of the containers against those of the configurations that run in them. */
function* listenPorts(containers: readonly Container[], manifests: readonly Manifest[]): Generator<string> {
  const script = readFileSync(join(ROOT, 'packaging/docker/start.sh'), 'utf8')
  const haproxy = configMapData(manifests, 'darkroom-haproxy')['haproxy.cfg'] ?? ''
  const bound = {
    nginx: [...script.matchAll(/listen (\d+) default_server/g)],
    haproxy: [...haproxy.matchAll(/^ *bind :(\d+) /gm)],
  }
  for (const [name, found] of Object.entries(bound)) {
    const ports = found.map(([, port]) => Number(port))
    const declared =
      containers.find((each) => each.name === name)?.ports.map(({ containerPort }) => containerPort) ?? []
    if (ports.length === 0 || ports.join() !== declared.join())
      yield `${name} listens on ${ports.join(' and ')}, and its container has ${declared.join(' and ')}`
  }
}
