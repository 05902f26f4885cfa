import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import { runQuietly } from '../../tools/processes/process.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { ensureKubectls, ensureKubernetesValidate } from '../../tools/servers/install-kubernetes.ts'
import { ensureHaproxy } from '../../tools/servers/install-servers.ts'
import { configMapData, kustomize, type Manifest, parseManifests, workloads } from '../support/kubernetes/manifests.ts'
import { podProblems } from '../support/kubernetes/pod-problems.ts'
import { referenceProblems } from '../support/kubernetes/reference-problems.ts'
import { settingProblems } from '../support/kubernetes/setting-problems.ts'

const FOLDERS = ['base', 'example'] as const
/** The oldest with all kinds that are used, and the newest that kubernetes-validate knows. */
const VERSIONS = ['1.25', '1.37'] as const
const ROOT = join(import.meta.dirname, '../..')

let kubectls: readonly string[] = []
before(async () => {
  kubectls = await ensureKubectls()
})

const built = new Map<string, Promise<string>>()
/** By Debian's kubectl. */
function debians(folder: (typeof FOLDERS)[number]): Promise<string> {
  const yaml = built.get(folder) ?? kustomize(kubectls[0] ?? '', folder)
  built.set(folder, yaml)
  return yaml
}

function problemsOf(manifests: readonly Manifest[]): readonly string[] {
  return [...referenceProblems(manifests), ...podProblems(manifests), ...settingProblems(manifests)]
}

async function temporary(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-kubernetes-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}

/** @throws Error with the field that the schema of that version refuses. */
async function validate(t: TestContext, yaml: string, version: string): Promise<void> {
  const { python, folder } = await ensureKubernetesValidate()
  const file = join(await temporary(t, { 'all.yaml': yaml }), 'all.yaml')
  const options = ['-m', 'kubernetes_validate', '--kubernetes-version', version, '--strict', file]
  // It names the field on its standard output.
  const command = ['-c', 'exec "$@" >&2', 'sh', python, ...options]
  await runQuietly('sh', command, { ...process.env, PYTHONPATH: folder })
}

for (const folder of FOLDERS) {
  test(`kubectl builds packaging/kubernetes/${folder}, and every Kubernetes accepts it`, async (t) => {
    for (const version of VERSIONS) await validate(t, await debians(folder), version)
    for (const kubectl of kubectls) assert.deepEqual(problemsOf(parseManifests(await kustomize(kubectl, folder))), [])
  })
}

test('The validation refuses a field that Kubernetes does not have', async (t) => {
  const yaml = await debians('base')
  const wrong = yaml.replace('publishNotReadyAddresses: true', 'publishNotReadyAddress: true')
  await assert.rejects(validate(t, wrong, '1.37'), /publishNotReadyAddress/)
})

const BREAKS: Readonly<Record<string, readonly [text: string, replacement: string, problem: RegExp]>> = {
  'a Service that selects nothing': [
    'front\n    app.kubernetes.io/name: darkroom\n  type: Load',
    'fronts\n  type: Load',
    /selects no workload/,
  ],
  'a headless Service that hides nodes': ['publishNotReadyAddresses: true', 'publishNotReadyAddresses: false', /hides/],
  'a port where nothing listens': ['containerPort: 8405', 'containerPort: 8406', /8405, where nothing listens/],
  'a setting that does not exist': ['SIZE_POLICY: steps', 'SIZES_POLICY: steps', /no setting SIZES_POLICY/],
  'a value that the node refuses': ['SIZE_POLICY: steps', 'SIZE_POLICY: step', /SIZE_POLICY: should be/],
  'a secret in a ConfigMap': ['PUBLIC_URL: https', 'UPLOAD_TOKENS: https', /UPLOAD_TOKENS is in a ConfigMap/],
  'a root file system that can be written': [
    'readOnlyRootFilesystem: true',
    'readOnlyRootFilesystem: false',
    /write to/,
  ],
  'a pod of root': ['runAsNonRoot: true', 'runAsNonRoot: false', /as root/],
  'a container that keeps rights': ['- ALL', '- NET_RAW', /has capabilities/],
  'no limit of memory': ['limits:\n            memory', 'limits:\n            ephemeral-storage', /limits no memory/],
  'an image without a version': ['darkroom:0.2.0', 'darkroom:latest', /is open/],
  'a volume that does not exist': [
    '- mountPath: /run/haproxy\n          name: run',
    '- mountPath: /run/haproxy\n          name: runs',
    /mounts runs/,
  ],
  'a role that the image does not have': ['- process', '- processes', /no role "processes"/],
  'a command that does not exist': ['- scripts/front', '- scripts/fronts', /there is no scripts\/fronts/],
  'a pod that ends too early': ['GracePeriodSeconds: 75', 'GracePeriodSeconds: 30', /is killed after 30 s/],
  'another port in NODE_ADDRESS': ['$(POD_IP):8080', '$(POD_IP):8081', /another port than nginx/],
  'an autoscaler of nothing': [
    'kind: StatefulSet\n    name: darkroom\n---',
    'kind: Deployment\n    name: darkroom\n---',
    /does not exist/,
  ],
  'a ConfigMap that does not exist': [
    'name: darkroom-haproxy-',
    'name: darkroom-front-',
    /darkroom-haproxy-\w+, which does not exist/,
  ],
}

for (const [name, [text, replacement, problem]] of Object.entries(BREAKS)) {
  test(`The checks find ${name}`, async () => {
    const yaml = await debians('example')
    assert.ok(yaml.includes(text), text)
    assert.match(problemsOf(parseManifests(yaml.replace(text, () => replacement))).join('\n'), problem)
  })
}

test('HAProxy accepts the configuration of the ConfigMap, with proxies that it trusts and without', async (t) => {
  const data = configMapData(parseManifests(await debians('base')), 'darkroom-haproxy')
  const folder = await temporary(t, data)
  const file = join(folder, 'haproxy.cfg')
  const original = data['haproxy.cfg'] ?? ''
  assert.doesNotMatch(original, /^[^#\n]*\b(?:user|group) haproxy\b/m)
  await writeFile(file, original.replace('/etc/haproxy/originals.map', join(folder, 'originals.map')))
  const haproxy = await ensureHaproxy()
  for (const TRUSTED_PROXIES of ['', '10.0.0.0/8', '10.0.0.0/8 192.0.2.7'])
    await runQuietly(haproxy, ['-c', '-f', file], { ...process.env, TRUSTED_PROXIES })
  await assert.rejects(
    runQuietly(haproxy, ['-c', '-f', file], { ...process.env, TRUSTED_PROXIES: 'ingress' }),
    /ingress/,
  )
})

test('The image has the version of package.json, and the Secret has the keys of docs/kubernetes.md', async () => {
  const { version } = jsonFields(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const page = await readFile(join(ROOT, 'docs/kubernetes.md'), 'utf8')
  const containers = workloads(parseManifests(await debians('base'))).flatMap(
    ({ spec }) => spec.template.spec.containers,
  )
  assert.deepEqual([...new Set(containers.map(({ image }) => image))], [`darkroom:${String(version)}`])
  const keys = containers.flatMap(({ env }) => env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []))
  assert.ok(keys.length >= 3)
  for (const { name, key } of keys)
    assert.match(page, new RegExp(`create secret generic ${name} [^\`]*--from-literal=${key}=`))
})
