import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { TOKEN } from '../../tools/requests/token.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { ensureKubectls } from '../../tools/servers/install-kubernetes.ts'
import {
  createDockerNetwork,
  type DockerPod,
  removeDockerNetwork,
  startDockerPod,
} from '../support/kubernetes/docker-pod.ts'
import { kustomize, parseManifests, workloads } from '../support/kubernetes/manifests.ts'

const NODE = 'darkroom-0'

/** A pod of each workload of packaging/kubernetes/base, with a store that is a folder. */
async function startPods(t: TestContext): Promise<{ node: DockerPod; front: DockerPod }> {
  const [kubectl = ''] = await ensureKubectls()
  const manifests = parseManifests(await kustomize(kubectl, 'base'))
  const [deployment, statefulSet] = workloads(manifests).toSorted((one, other) => (one.kind < other.kind ? -1 : 1))
  assert.ok(deployment !== undefined && statefulSet !== undefined)
  const network = await createDockerNetwork()
  const node = await startDockerPod(t, {
    manifests,
    network,
    workload: statefulSet,
    name: NODE,
    secrets: { UPLOAD_TOKENS: TOKEN },
    settings: { STORE: 'file:/var/lib/darkroom' },
    folders: { node: '/var/lib/darkroom' },
  })
  const front = await startDockerPod(t, {
    manifests,
    network,
    workload: deployment,
    name: 'front',
    // Docker's DNS has no SRV records.
    args: { members: [`--dns=${NODE}`, '--port=8080', '--metrics=/run/haproxy/front.prom'] },
  })
  t.after(() => removeDockerNetwork(network))
  return { node, front }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(200)
}

test('The pods of packaging/kubernetes, run by Docker with their rights', { timeout: 240_000 }, async (t) => {
  const { node, front } = await startPods(t)
  const url = `http://${front.address}:8080`
  const statusOf = (address: string, path: string) =>
    fetch(`http://${address}:8080${path}`).then(
      ({ status }) => status,
      () => 0,
    )

  await t.test('pass their probes', async () => {
    for (const pod of [node, front]) {
      for (const kind of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const)
        await until(() => pod.probe(kind))
    }
  })

  const id = await uploadFixture(url, 'mountains.jpg', TOKEN)
  const path = `/image/${id}/200w.webp`

  await t.test('serve an upload through HAProxy: the first view by the process, the second by nginx', async () => {
    for (const cache of ['miss', 'nginx']) {
      const response = await fetch(`${url}${path}`)
      assert.equal(response.status, 200)
      assert.ok(response.headers.get('Server-Timing')?.includes(`desc="${cache}"`))
      await response.arrayBuffer()
    }
  })

  await t.test('end in order: the node serves while it is not ready, and everything ends by itself', async () => {
    const ending = node.end()
    await until(async () => (await statusOf(node.address, '/readyz')) === 503)
    assert.equal(await statusOf(node.address, path), 200)
    assert.equal(await statusOf(node.address, `/image/${id}/201w.webp`), 200)
    assert.deepEqual(await ending, { node: 0, nginx: 0 })
    assert.deepEqual(await front.end(), { haproxy: 0, members: 0 })
  })
})
