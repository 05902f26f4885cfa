// The body of `npm run fresh-debian`: README's quick start in a fresh Debian root, with several versions of Node.
import { runTool, say } from './commands/run-tool.ts'
import { type FirstHour, firstHour } from './fresh-debian/fresh-root.ts'

const USAGE = `Usage: npm run fresh-debian [-- <options>]

Follows the quick start of README.md in a fresh Debian root (debootstrap, minimal, with curl), once for each version of
Node with the npm that comes with it. The commit is HEAD. Runs as root, on Debian.

  --node 18,20,22,24  major versions of Node
  --test              run npm test too, with each version that starts the node
  --help              print this help

Prints one line for each version. The output of the commands is on standard error. Exit code: 0 each version from 20 on
showed a picture, and Node 18 was refused with a message that names the right version; 1 one did not; 2 nothing could be
tried.
`

await runTool({
  name: 'fresh-debian',
  usage: USAGE,
  options: {
    node: { type: 'string', default: '18,20,22,24' },
    test: { type: 'boolean', default: false },
  },
  async run(values) {
    if (process.getuid?.() !== 0) throw new Error('it must run as root, because it mounts file systems')
    let failures = 0
    for (const node of values.node.split(',')) {
      const result = await firstHour(node, values.test)
      const isRight = node === '18' ? isRefused(result) : showsPicture(result)
      if (!isRight) failures += 1
      say(`${isRight ? 'ok' : 'FAILED'}: ${describe(result)}`)
    }
    return failures === 0 ? 0 : 1
  },
})

function isRefused(result: FirstHour): boolean {
  return result.get('refused')?.startsWith('1 darkroom: Node 20 or newer is required') === true
}

function showsPicture(result: FirstHour): boolean {
  const tests = result.get('tests')
  return (
    /^200 image\/webp [1-9]\d{3,}$/.test(result.get('picture') ?? '') &&
    result.get('stopped') === '0' &&
    (tests === undefined || tests.startsWith('0 '))
  )
}

function describe(result: FirstHour): string {
  const versions = `Node ${result.get('node')}, npm ${result.get('npm')}`
  const refused = result.get('refused')
  if (refused !== undefined) return `${versions}: npm start ended with ${refused}`
  const { picture, tests } = Object.fromEntries(result)
  const times = `ready after ${result.get('ready')} s, first picture after ${result.get('first')} s (${picture})`
  return `${versions}: ${times}, stopped with ${result.get('stopped')}${tests === undefined ? '' : `, npm test: exit code and seconds ${tests}`}`
}
