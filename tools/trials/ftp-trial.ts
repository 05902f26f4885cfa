import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { loadConfig } from '../../src/config/env.ts'
import { createStore } from '../../src/node/outside.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import { createRandom } from '../pictures/seeded-random.ts'
import type { Scope } from '../processes/scope.ts'
import { filesBelow } from '../requests/ask.ts'
import { TOKEN } from '../requests/token.ts'
import { type Indexer, startIndexer } from '../servers/indexer.ts'
import { ensureFtpClients } from '../servers/install-servers.ts'
import { type RunningIntake, startIntake } from '../servers/intake.ts'
import { type Proftpd, startProftpd } from '../servers/proftpd.ts'
import { newStore, stopAfter, temporaryFolder } from '../servers/site.ts'
import { startBalancer } from './balancer.ts'
import { quarantined, readStore, sentFigures, timeFigures, verdicts } from './ftp-figures.ts'
import { readWholeFeed } from './read-feed.ts'
import { type RelayNodes, startRelayNodes } from './relay-nodes.ts'
import { type Protocol, type Sending, sendAll } from './senders.ts'
import { smallPhotographs, type TrialFile, trialFile } from './trial-files.ts'
import { count, seconds, type TrialFigure } from './trial-report.ts'

export interface FtpTrialOptions {
  readonly files: number
  readonly seed: number
  /** Kills of a node, the relay, ProFTPD and the intake. */
  readonly kills: number
  readonly say: (line: string) => void
}

const SESSIONS: readonly Protocol[] = ['ftp', 'ftps', 'sftp', 'ftp', 'ftps', 'sftp', 'ftp', 'ftps']
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const USER = 'camera'
const NODES = 2
/** One of so many transfers is cut. */
const CUT_EVERY = 8
/** Files in the spool folder; then clients pause. */
const MOST_WAITING = 50
const POLL_MS = 100
const PROGRESS_MS = 10_000
const STUCK_MS = 180_000

/** Of one file: its content does not depend on which session is faster. */
function randomOf(seed: number, number: number): () => number {
  const random = createRandom((Math.imul(seed, 0x9e3779b1) + Math.imul(number + 1, 0x85ebca6b)) >>> 0 || 1)
  // The first draws of similar seeds are similar.
  for (let draws = 0; draws < 8; draws += 1) random()
  return random
}

interface Stage {
  readonly spool: string
  readonly store: ObjectStore
  readonly ftp: Proftpd
  readonly nodes: RelayNodes
  readonly indexer: Indexer
  readonly intake: { running: RunningIntake; restart(): Promise<void> }
  /** For files of the clients. */
  readonly folder: string
}

async function setStage(scope: Scope): Promise<Stage> {
  const folder = await temporaryFolder(scope)
  await chmod(folder, 0o755)
  const spool = join(folder, 'spool')
  await mkdir(spool)
  await mkdir(join(folder, 'sent'))
  const { env: storeEnv } = await newStore()
  const store = await createStore(loadConfig(storeEnv))
  scope.after(() => store.close())
  const indexer = await startIndexer(scope, SECRET)
  const sinks = join(folder, 'sinks.yaml')
  await writeFile(sinks, `sinks:\n  indexer:\n    url: ${indexer.url}\n    secret: $INDEXER_SECRET\n`)
  const nodes = await startRelayNodes(scope, NODES, {
    ...storeEnv,
    SINKS_FILE: sinks,
    INDEXER_SECRET: SECRET,
    SINK_ALLOW_ADDRESSES: '127.0.0.1',
    UPLOAD_TOKENS: TOKEN,
    LOG_LEVEL: 'warn',
  })
  const ftp = await startProftpd({ spool, user: USER })
  stopAfter(scope, ftp.server.stop)
  const url = `http://127.0.0.1:${await startBalancer(
    scope,
    nodes.all.map(({ port }) => port),
  )}`
  const start = (): RunningIntake => startIntake(scope, { spool, url, args: ['--renamed'] })
  const intake = {
    running: start(),
    async restart() {
      await intake.running.end('SIGKILL')
      intake.running = start()
    },
  }
  return { spool, store, ftp, nodes, indexer, intake, folder: join(folder, 'sent') }
}

/** Kills in random order, spread over the files. */
async function killDuring(
  stage: Stage,
  random: () => number,
  { files, kills, say }: FtpTrialOptions,
  sent: () => number,
) {
  const faults = {
    node: () => stage.nodes.kill(random() % NODES),
    relay: async () => stage.nodes.kill((await stage.nodes.holder()) ?? random() % NODES),
    proftpd: () => stage.ftp.restart(),
    intake: () => stage.intake.restart(),
  } as const
  const names = ['node', 'relay', 'proftpd', 'intake'] as const
  const order = Array.from({ length: kills }, (_, index) => ({
    name: names[index % names.length] ?? 'node',
    at: random(),
  }))
  for (const [index, { name }] of order.toSorted((a, b) => a.at - b.at).entries()) {
    await until('files are sent', () => sent() >= ((index + 1) * files) / (kills + 1), sent)
    say(`  ${count(sent())} files sent: kill -9 of ${name === 'relay' ? 'the node that delivers' : name}`)
    await faults[name]()
  }
}

/** @param progress Changes while there is progress. @throws Error if it does not for a long time. */
async function until(what: string, isTrue: () => boolean | Promise<boolean>, progress: () => number): Promise<void> {
  let [last, changedAt] = [progress(), performance.now()]
  while (!(await isTrue())) {
    const now = progress()
    if (now !== last) [last, changedAt] = [now, performance.now()]
    assert.ok(performance.now() - changedAt < STUCK_MS, `Nothing has happened for ${seconds(STUCK_MS)}: ${what}`)
    await delay(POLL_MS)
  }
}

/** Files that wait for the intake. */
async function waiting(spool: string): Promise<number> {
  const names = await filesBelow(join(spool, USER))
  return names.filter((name) => !name.startsWith('.in.')).length
}

/** Many files through parallel sessions of FTP, FTPS and SFTP, with cut transfers and killed servers. */
export async function tryFtp(scope: Scope, options: FtpTrialOptions): Promise<readonly TrialFigure[]> {
  const { files, seed, say } = options
  const random = createRandom(seed)
  const { sftp } = await ensureFtpClients()
  const stage = await setStage(scope)
  const photographs = await smallPhotographs()
  const all: TrialFile[] = []
  const state = { sent: 0, waiting: 0 }
  const sent = (): number => state.sent
  /** Each session has a share of the files, and waits while the intake is behind. */
  const nextOf = (session: number) => {
    let number = session - SESSIONS.length
    return async (): Promise<Sending | undefined> => {
      number += SESSIONS.length
      if (number >= files) return undefined
      while (state.waiting > MOST_WAITING) await delay(POLL_MS)
      const draw = randomOf(seed, number)
      const file = trialFile(photographs, number, draw)
      all.push({ ...file, bytes: Buffer.alloc(0) })
      const by = draw() % 2 === 0 ? 'fin' : 'rst'
      const isCut = draw() % CUT_EVERY === 0
      return { file, cut: isCut ? { by, atByte: 1 + (draw() % Math.max(1, file.bytes.length - 1)) } : undefined }
    }
  }
  const began = performance.now()
  const progress = setInterval(() => {
    say(
      `  ${count(state.sent)} sent, ${count(stage.indexer.subjects.size)} at the webhook after ${seconds(performance.now() - began)}`,
    )
  }, PROGRESS_MS)
  scope.after(() => clearInterval(progress))
  const look = async (): Promise<void> => {
    state.waiting = await waiting(stage.spool)
  }
  const looks = setInterval(() => void look(), POLL_MS)
  const sender = { ftp: stage.ftp, sftpCommand: sftp, folder: stage.folder, onSent: () => void (state.sent += 1) }
  const [sessions] = await Promise.all([
    Promise.all(SESSIONS.map((protocol, session) => sendAll(scope, protocol, { ...sender, next: nextOf(session) }))),
    killDuring(stage, random, options, sent),
  ])
  clearInterval(looks)
  const sentMs = performance.now() - began
  let left = Infinity
  await until(
    'the spool folder is empty',
    async () => (left = await waiting(stage.spool)) === 0,
    () => left,
  )
  const emptyMs = performance.now() - began
  const { running } = stage.intake
  await running.end()
  const stored = await readStore(stage.store)
  const { subjects } = stage.indexer
  await until(
    'all events are delivered',
    () => [...stored.records].every((id) => subjects.has(id)),
    () => subjects.size,
  )
  clearInterval(progress)
  const feed = await readWholeFeed(stage.nodes.all[0]?.url ?? '')
  const facts = {
    user: USER,
    all,
    stored,
    feed,
    indexer: stage.indexer,
    rejected: await quarantined(stage.spool, USER),
  }
  return [...verdicts(facts), ...sentFigures(sessions, options.kills), ...timeFigures(files, { sentMs, emptyMs })]
}
