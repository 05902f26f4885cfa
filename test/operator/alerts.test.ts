import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { promtool } from '../../tools/servers/prometheus.ts'

const ROOT = join(import.meta.dirname, '../..')
const RULES = join(ROOT, 'packaging/prometheus/alerts.yml')
const CONFIGS = ['prometheus.yml', 'kubernetes.yml'] as const
const CASES = join(ROOT, 'packaging/prometheus/alerts.test.yml')

const Rule = z.strictObject({
  alert: z.string().regex(/^Darkroom[A-Z]\w+$/),
  expr: z.string(),
  for: z.string(),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook: z.string() }),
})
const Recording = z.strictObject({ record: z.string().regex(/^\w+:darkroom_\w+:\w+$/), expr: z.string() })
const Rules = z.object({
  groups: z.tuple([z.object({ rules: z.array(Rule).min(1) }), z.object({ rules: z.array(Recording).min(1) })]),
})
const Case = z.object({ expr: z.string(), exp_samples: z.array(z.unknown()) })
const Cases = z.object({ tests: z.array(z.object({ name: z.string(), promql_expr_test: z.array(Case) })) })

async function rules() {
  const [{ rules: all }] = Rules.parse(parse(await readFile(RULES, 'utf8'))).groups
  return all
}

test('promtool accepts the alert rules, and each fires and stays quiet as alerts.test.yml says', async (t) => {
  const checked = await promtool(['check', 'rules', RULES])
  assert.equal(checked.code, 0, checked.output)
  const tested = await promtool(['test', 'rules', CASES])
  assert.equal(tested.code, 0, tested.output)

  const folder = await mkdtemp(join(tmpdir(), 'darkroom-alerts-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'alerts.yml'), (await readFile(RULES, 'utf8')).replaceAll(/for: \d+m/g, 'for: 90m'))
  await writeFile(join(folder, 'alerts.test.yml'), await readFile(CASES, 'utf8'))
  assert.equal((await promtool(['test', 'rules', join(folder, 'alerts.test.yml')])).code, 1)
})

for (const name of CONFIGS) {
  test(`promtool accepts packaging/prometheus/${name}`, async () => {
    const checked = await promtool(['check', 'config', join(ROOT, 'packaging/prometheus', name)])
    assert.equal(checked.code, 0, checked.output)
  })
}

test('Every alert rule has a case in which it fires and one in which it does not', async () => {
  const { tests } = Cases.parse(parse(await readFile(CASES, 'utf8')))
  for (const { alert } of await rules()) {
    const cases = tests.flatMap((each) => each.promql_expr_test).filter(({ expr }) => expr.includes(`"${alert}"`))
    assert.ok(
      cases.some((each) => each.exp_samples.length > 0),
      `${alert} fires`,
    )
    assert.ok(
      cases.some((each) => each.exp_samples.length === 0),
      `${alert} does not fire`,
    )
  }
})

test('Every alert rule uses metrics that docs/metrics.md lists, and links to a section that exists', async () => {
  const metrics = await readFile(join(ROOT, 'docs/metrics.md'), 'utf8')
  for (const { alert, expr, annotations } of await rules()) {
    for (const [name] of expr.matchAll(/darkroom_\w+/g)) {
      assert.ok(metrics.includes(`| \`${name.replace(/_bucket$/, '')}\` |`), `${alert}: ${name}`)
    }
    const [page = '', anchor = ''] = annotations.runbook.split('#')
    const headings = (await readFile(join(ROOT, page), 'utf8')).matchAll(/^#+ (.+)$/gm)
    const anchors = Array.from(headings, ([, heading = '']) => heading.toLowerCase().replaceAll(' ', '-'))
    assert.ok(anchors.includes(anchor), `${alert}: ${annotations.runbook}`)
  }
})
