import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { runQuietly } from '../../../tools/processes/process.ts'

const FOLDER = join(import.meta.dirname, '../../../packaging/kubernetes')

const Labels = z.record(z.string(), z.string())
const Selector = z.object({ matchLabels: Labels })
const Key = z.object({ name: z.string(), key: z.string(), optional: z.boolean().default(false) })
const Port = z.union([z.number(), z.string()])

const Variable = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .object({
      secretKeyRef: Key.optional(),
      fieldRef: z.object({ fieldPath: z.string() }).optional(),
      resourceFieldRef: z.object({ containerName: z.string(), resource: z.string() }).optional(),
    })
    .optional(),
})

const Probe = z.object({
  httpGet: z.object({ path: z.string(), port: Port }).optional(),
  tcpSocket: z.object({ port: Port }).optional(),
  exec: z.object({ command: z.array(z.string()) }).optional(),
})

export type Probe = z.infer<typeof Probe>

const Container = z.object({
  name: z.string(),
  image: z.string(),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  env: z.array(Variable).default([]),
  envFrom: z.array(z.object({ configMapRef: z.object({ name: z.string() }) })).default([]),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })).default([]),
  resources: z.object({ requests: Labels, limits: Labels }),
  securityContext: z.object({
    readOnlyRootFilesystem: z.boolean(),
    allowPrivilegeEscalation: z.boolean(),
    privileged: z.boolean().default(false),
    capabilities: z.object({ drop: z.array(z.string()), add: z.array(z.string()).default([]) }),
  }),
  startupProbe: Probe.optional(),
  readinessProbe: Probe.optional(),
  livenessProbe: Probe.optional(),
  lifecycle: z.object({ preStop: z.object({ exec: z.object({ command: z.array(z.string()) }) }) }).optional(),
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().default(false) })),
})
export type Container = z.infer<typeof Container>

const Pod = z.object({
  serviceAccountName: z.string().optional(),
  automountServiceAccountToken: z.boolean(),
  enableServiceLinks: z.boolean(),
  terminationGracePeriodSeconds: z.number(),
  securityContext: z.object({
    runAsNonRoot: z.boolean(),
    runAsUser: z.number(),
    fsGroup: z.number(),
    seccompProfile: z.object({ type: z.string() }),
  }),
  topologySpreadConstraints: z.array(z.object({ labelSelector: Selector })),
  containers: z.array(Container),
  volumes: z.array(
    z.object({
      name: z.string(),
      emptyDir: z.object({ sizeLimit: z.string().optional(), medium: z.string().optional() }).optional(),
      configMap: z.object({ name: z.string() }).optional(),
    }),
  ),
})

const Workload = z.object({
  metadata: z.object({ name: z.string(), labels: Labels }),
  spec: z.object({
    replicas: z.number().optional(),
    serviceName: z.string().optional(),
    selector: Selector,
    template: z.object({ metadata: z.object({ labels: Labels }), spec: Pod }),
    volumeClaimTemplates: z.array(z.object({ metadata: z.object({ name: z.string() }) })).default([]),
  }),
})
const StatefulSet = Workload.extend({ kind: z.literal('StatefulSet') })
const Deployment = Workload.extend({ kind: z.literal('Deployment') })
export type Workload = z.infer<typeof StatefulSet> | z.infer<typeof Deployment>

const Service = z.object({
  kind: z.literal('Service'),
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    clusterIP: z.string().optional(),
    publishNotReadyAddresses: z.boolean().default(false),
    selector: Labels,
    ports: z.array(z.object({ name: z.string(), port: z.number(), targetPort: Port })),
  }),
})

const Peer = z.object({ podSelector: Selector.optional() })
const PolicyPorts = z.array(z.object({ port: z.number() }))
const NetworkPolicy = z.object({
  kind: z.literal('NetworkPolicy'),
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    podSelector: Selector,
    policyTypes: z.array(z.string()),
    ingress: z.array(z.object({ from: z.array(Peer).default([]), ports: PolicyPorts })),
    egress: z.array(z.object({ to: z.array(Peer).default([]), ports: PolicyPorts })),
  }),
})

const Autoscaler = z.object({
  kind: z.literal('HorizontalPodAutoscaler'),
  spec: z.object({
    scaleTargetRef: z.object({ kind: z.string(), name: z.string() }),
    minReplicas: z.number(),
    maxReplicas: z.number(),
  }),
})
const Budget = z.object({
  kind: z.literal('PodDisruptionBudget'),
  metadata: z.object({ name: z.string() }),
  spec: z.object({ maxUnavailable: z.number(), selector: Selector }),
})
const ConfigMap = z.object({ kind: z.literal('ConfigMap'), metadata: z.object({ name: z.string() }), data: Labels })
const Account = z.object({ kind: z.literal('ServiceAccount'), metadata: z.object({ name: z.string() }) })
const Namespace = z.object({ kind: z.literal('Namespace') })

/** Every kind that packaging/kubernetes/ has; another one is an error. */
const Manifest = z.discriminatedUnion('kind', [
  StatefulSet,
  Deployment,
  Service,
  NetworkPolicy,
  Autoscaler,
  Budget,
  ConfigMap,
  Account,
  Namespace,
])
export type Manifest = z.infer<typeof Manifest>

/** Runs `kubectl kustomize` on a folder below packaging/kubernetes/. @returns YAML, a document for each manifest. */
export function kustomize(kubectl: string, folder: string): Promise<string> {
  return runQuietly(kubectl, ['kustomize', join(FOLDER, folder)], process.env)
}

/** @throws Error for a kind or a form that packaging/kubernetes/ does not have. */
export function parseManifests(yaml: string): readonly Manifest[] {
  return parseAllDocuments(yaml).map((document) => Manifest.parse(document.toJS()))
}

/** Empty if there is none of that name. @param prefix Its name without the hash. */
export function configMapData(manifests: readonly Manifest[], prefix: string): Readonly<Record<string, string>> {
  const found = manifests.find((each) => each.kind === 'ConfigMap' && each.metadata.name.startsWith(`${prefix}-`))
  return found?.kind === 'ConfigMap' ? found.data : {}
}

export function workloads(manifests: readonly Manifest[]): readonly Workload[] {
  return manifests.flatMap((each) => (each.kind === 'StatefulSet' || each.kind === 'Deployment' ? [each] : []))
}
