// The body of `npm run power-cut`: cuts the power of a disk under load and verifies that every file is whole.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runTool, say } from './commands/run-tool.ts'
import { wholeNumber } from './commands/whole-number.ts'
import { survivePowerCuts } from './crash/power-cut.ts'

const USAGE = `Usage: npm run power-cut [-- <options>]

Copies the disk of a node's cache at random moments under load, as a power failure would leave it. Verifies that every
rendition on the copy is whole, and that a node and nginx on it serve whole pictures. Requires root and loop devices.

  --rounds 50  number of power cuts
  --seed 1     seed of the random generator, which selects their moments
  --help       print this help

Prints the figures as JSON. Exit code: 0 no file was damaged; 2 a round failed, with the reason on standard error.
`

await runTool({
  name: 'power-cut',
  usage: USAGE,
  options: { rounds: { type: 'string', default: '50' }, seed: { type: 'string', default: '1' } },
  async run(values) {
    const [rounds, seed] = [wholeNumber('rounds', values.rounds), wholeNumber('seed', values.seed)]
    const folder = await mkdtemp(join(tmpdir(), 'darkroom-power-'))
    try {
      const onRound = (round: number) => void (round % 10 === 0 && process.stderr.write(`${round} rounds\n`))
      say(JSON.stringify({ rounds, seed, ...(await survivePowerCuts({ rounds, seed, folder, onRound })) }))
      return 0
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
})
