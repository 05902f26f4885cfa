import { type Manifest, type Workload, workloads } from './manifests.ts'

type Labels = Readonly<Record<string, string>>

/** What is wrong with the references between manifests: selectors, names and ports. A sentence each. */
export function referenceProblems(manifests: readonly Manifest[]): readonly string[] {
  const pods = workloads(manifests)
  return manifests.flatMap((manifest) => [...problemsOf(manifest, pods, manifests)])
}

function* problemsOf(manifest: Manifest, pods: readonly Workload[], all: readonly Manifest[]): Generator<string> {
  if (manifest.kind === 'StatefulSet' || manifest.kind === 'Deployment') yield* workload(manifest, all)
  if (manifest.kind === 'Service') yield* service(manifest, pods)
  if (manifest.kind === 'NetworkPolicy') yield* policy(manifest, pods)
  if (manifest.kind === 'HorizontalPodAutoscaler') yield* autoscaler(manifest, pods)
  if (manifest.kind === 'PodDisruptionBudget' && selected(manifest.spec.selector.matchLabels, pods).length !== 1)
    yield `PodDisruptionBudget ${manifest.metadata.name} selects no workload, or several`
}

function* workload({ metadata, spec }: Workload, all: readonly Manifest[]): Generator<string> {
  const { name } = metadata
  const labels = spec.template.metadata.labels
  const pod = spec.template.spec
  const selectors = [spec.selector, ...pod.topologySpreadConstraints.map(({ labelSelector }) => labelSelector)]
  for (const { matchLabels } of selectors) {
    if (!matches(matchLabels, labels)) yield `${name} does not select its own pods`
  }
  const names = (kind: Manifest['kind']) =>
    all.flatMap((each) => (each.kind === kind && 'metadata' in each ? [each.metadata.name] : []))
  const maps = [
    ...pod.volumes.flatMap(({ configMap }) => (configMap ? [configMap.name] : [])),
    ...pod.containers.flatMap(({ envFrom }) => envFrom.map(({ configMapRef }) => configMapRef.name)),
  ]
  for (const map of maps) {
    if (!names('ConfigMap').includes(map)) yield `${name} refers to the ConfigMap ${map}, which does not exist`
  }
  if (pod.serviceAccountName !== undefined && !names('ServiceAccount').includes(pod.serviceAccountName))
    yield `${name} refers to the ServiceAccount ${pod.serviceAccountName}, which does not exist`
  if (spec.serviceName !== undefined && !names('Service').includes(spec.serviceName))
    yield `${name} refers to the Service ${spec.serviceName}, which does not exist`
}

function* service(
  { metadata, spec }: Extract<Manifest, { kind: 'Service' }>,
  pods: readonly Workload[],
): Generator<string> {
  const targets = selected(spec.selector, pods)
  if (targets.length !== 1) yield `Service ${metadata.name} selects no workload, or several`
  for (const { targetPort } of spec.ports) {
    if (!targets.every((target) => portsOf(target).has(targetPort)))
      yield `Service ${metadata.name} passes requests to port ${targetPort}, where nothing listens`
  }
  if (spec.clusterIP === 'None' && !spec.publishNotReadyAddresses)
    yield `Service ${metadata.name} hides nodes that are not ready`
}

function* policy(
  { metadata: { name }, spec }: Extract<Manifest, { kind: 'NetworkPolicy' }>,
  pods: readonly Workload[],
): Generator<string> {
  const targets = selected(spec.podSelector.matchLabels, pods)
  if (targets.length !== 1) yield `NetworkPolicy ${name} selects no workload, or several`
  if (spec.policyTypes.join() !== 'Ingress,Egress') yield `NetworkPolicy ${name} leaves a direction open`
  for (const { ports } of spec.ingress) {
    for (const { port } of ports) {
      if (!targets.every((target) => portsOf(target).has(port)))
        yield `NetworkPolicy ${name} opens port ${port}, where nothing listens`
    }
  }
  const directions = [
    ...spec.ingress.map(({ from }) => ({ peers: from, ports: [] })),
    ...spec.egress.map(({ to, ports }) => ({ peers: to, ports })),
  ]
  for (const { peers, ports } of directions) {
    for (const { podSelector } of peers) {
      if (podSelector === undefined) continue
      const others = selected(podSelector.matchLabels, pods)
      if (others.length !== 1) yield `NetworkPolicy ${name} names peers that do not exist`
      for (const { port } of ports) {
        if (!others.every((other) => portsOf(other).has(port)))
          yield `NetworkPolicy ${name} allows requests to port ${port}, where nothing listens`
      }
    }
  }
}

function* autoscaler(
  { spec }: Extract<Manifest, { kind: 'HorizontalPodAutoscaler' }>,
  pods: readonly Workload[],
): Generator<string> {
  const { kind, name } = spec.scaleTargetRef
  const target = pods.find((each) => each.kind === kind && each.metadata.name === name)
  if (target === undefined) yield `the HorizontalPodAutoscaler scales ${kind} ${name}, which does not exist`
  if (target?.spec.replicas !== undefined) yield `${name} has a number of replicas beside the HorizontalPodAutoscaler`
  if (spec.minReplicas < 2 || spec.maxReplicas <= spec.minReplicas) yield 'the HorizontalPodAutoscaler has no room'
}

function selected(labels: Labels, pods: readonly Workload[]): readonly Workload[] {
  return pods.filter(({ spec }) => matches(labels, spec.template.metadata.labels))
}

function matches(selector: Labels, labels: Labels): boolean {
  const entries = Object.entries(selector)
  return entries.length > 0 && entries.every(([key, value]) => labels[key] === value)
}

/** Names and numbers. */
function portsOf({ spec }: Workload): ReadonlySet<string | number> {
  return new Set(
    spec.template.spec.containers.flatMap(({ ports }) => ports.flatMap((port) => [port.name, port.containerPort])),
  )
}
