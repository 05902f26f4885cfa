import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Generated, type GeneratorPlan } from './generator-plan.ts'

/** Asks from a process of its own. Plan and result are files, as they are long. */
export async function generateLoad(plan: GeneratorPlan): Promise<Generated> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-generator-'))
  const [planFile, resultFile] = [join(folder, 'plan.json'), join(folder, 'result.json')]
  try {
    await writeFile(planFile, JSON.stringify(plan))
    const child = spawn(process.execPath, [join(import.meta.dirname, 'generator.ts'), planFile, resultFile], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    await once(child, 'close')
    if (child.exitCode !== 0) throw new Error(`The load generator ended with ${child.exitCode}`)
    return Generated.parse(JSON.parse(await readFile(resultFile, 'utf8')))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
