import { commandOutput, runCommand } from '../tools/processes/process.ts'
import { findCommand } from '../tools/servers/debian-packages.ts'
import { ensureCached } from '../tools/servers/install-servers.ts'

/** The measures of what an encoder did to a picture, as programs of the Rust registry, and their versions. */
const SSIMULACRA2 = { crate: 'ssimulacra2_rs', version: '0.5.2', binary: 'ssimulacra2_rs', features: false } as const
const BUTTERAUGLI = { crate: 'butteraugli-cli', version: '0.9.3', binary: 'butteraugli', features: true } as const

/** What the reports call them. */
export const JUDGES = [SSIMULACRA2, BUTTERAUGLI].map(({ crate, version }) => `${crate} ${version}`)

export interface Judgement {
  /** SSIMULACRA2: 100 is the same, 90 can't be told apart, 70 is good, 50 middling. */
  readonly ssimulacra2: number
  /** Butteraugli's 3-norm: 0 is the same; the higher, the worse. */
  readonly butteraugli: number
}

/** Compares a picture with its reference: two PNG files of one size, without alpha. */
export type Judge = (reference: string, picture: string) => Promise<Judgement>

/** Finds the two programs, or compiles them: two minutes, once. All output goes to stderr. */
export async function ensureJudge(): Promise<Judge> {
  const ssimulacra2 = await ensureProgram(SSIMULACRA2)
  const butteraugli = await ensureProgram(BUTTERAUGLI)
  return async (reference, picture) => {
    const score = (await commandOutput(ssimulacra2, ['image', reference, picture]))?.match(/Score: (\S+)/)
    const distance = (await commandOutput(butteraugli, ['--json', reference, picture]))?.match(/"pnorm_3": ([^,\s]+)/)
    const judgement = { ssimulacra2: Number(score?.[1]), butteraugli: Number(distance?.[1]) }
    if (Object.values(judgement).every(Number.isFinite)) return judgement
    throw new Error(`${picture} cannot be compared with ${reference}`)
  }
}

type Program = typeof SSIMULACRA2 | typeof BUTTERAUGLI

async function ensureProgram({ crate, version, binary, features }: Program): Promise<string> {
  return await ensureCached(`${crate}-${version}/bin/${binary}`, async (folder) => {
    const cargo = await findCommand('cargo')
    if (cargo === undefined) throw new Error(`${crate} is compiled by Rust's cargo, 1.89 or newer: please install it`)
    process.stderr.write(`Compiling ${crate}, which takes a minute\n`)
    // The one compares videos by default, for which it would need a decoder.
    const options = ['--quiet', '--locked', ...(features ? [] : ['--no-default-features'])]
    await runCommand(cargo, ['install', crate, '--version', version, '--root', folder, ...options])
  })
}
