// The body of `npm run trial`: long runs under faults, with random moments.
import { CLUSTER_SECTIONS, type ClusterSection, tryCluster } from './cluster/cluster-trial.ts'
import { runTool, say } from './commands/run-tool.ts'
import { wholeNumber } from './commands/whole-number.ts'
import { createRandom } from './pictures/seeded-random.ts'
import { inScope, type Scope } from './processes/scope.ts'
import { tryEvents } from './trials/events-trial.ts'
import { freezeOsd } from './trials/frozen-osd.ts'
import { tryFtp } from './trials/ftp-trial.ts'
import { cutPower } from './trials/outbox-power-cuts.ts'
import { tryPurges } from './trials/purge-trial.ts'
import { formatFigures, type TrialFigure } from './trials/trial-report.ts'

const USAGE = `Usage: npm run trial -- <trial> [<options>]

  ftp      Real and broken images through eight parallel sessions of FTP, FTPS and SFTP to ProFTPD, then the intake, two
           nodes, an S3 store and a webhook. Some transfers are cut at a random byte, by FIN or RST. Nodes, the relay,
           ProFTPD and the intake are killed at random. Clients repeat what was not acknowledged. Requires root.

  --files 10000        number of files
  --kills 40           kill -9 of a process

  events   Events through the outboxes of two writers, a store and the relay of two nodes to a webhook, during kill -9,
           SIGSTOP, an outage of the store, a changed byte in the outbox and a sink that is down. Pictures, their
           decoding and their originals are left out; outbox, store, feed, lease and relay are those of a node.

  --events 1000000     number of events
  --store s3           s3 (SeaweedFS) or file
  --kills 5            kill -9 of writers, and as many of nodes
  --stops 2            SIGSTOP of the node that delivers
  --outage 60          seconds for which the store refuses connections; not with --store file
  --sink-down 600      seconds for which the sink answers 503
  --cuts 20            power cuts of the disk of a file store, at the end; require root
  --rate-seconds 60    seconds of 600 events per second, with all writers and nodes on one core

  cluster  Nodes with their nginx, two HAProxy fronts and SeaweedFS on loopback, in these sections:
           cold     1,000 concurrent cold requests for 20 sizes of one original, by three nodes
           primed   first views of pictures that were rendered in advance (PRIME_SIZES) by the node of their upload
           hot      half of all requests for one picture, by four nodes
           changes  a steady load while nodes join, leave, are killed, frozen, cut off from the store and restarted;
                    scripts/front keeps the fronts in step with the registry

  --sections cold,…    of these; default: all
  --hot-seconds 60     of the load for one picture; its balance is judged from 30 on
  --pause 20           seconds after each change; p99 is judged from 16 on, at this rate
  --outage 60          seconds for which a node cannot reach the store
  --rate 50            requests per second during the changes

  purge    Pictures on several nodes are deleted, and purged by id, label and prefix, during a storm of renders and
           while another node is down. Measures the time until each node, and the stand-in API of two CDNs, has the
           purge.

  --pictures 200       number of pictures; times are judged from 100 on
  --nodes 3            nodes; one more is down
  --viewers 4          clients that request new sizes

  frozen-osd   First views through two nodes, one with a replica (SeaweedFS), while one of three OSDs of Ceph is frozen.
           Measures how long viewers notice. Installs Ceph.

  --frozen 60          seconds
  --views 10           first views per second of each node

  --seed 1             seed of the random generator
  --help               print this help

Prints a table. Exit code: 0 all requirements are met; 1 one is not; 2 the trial could not run.
`

await runTool({
  name: 'trial',
  usage: USAGE,
  hasOperands: true,
  options: {
    events: { type: 'string', default: '1000000' },
    store: { type: 'string', default: 's3' },
    files: { type: 'string', default: '10000' },
    kills: { type: 'string' },
    stops: { type: 'string', default: '2' },
    outage: { type: 'string', default: '60' },
    'sink-down': { type: 'string', default: '600' },
    cuts: { type: 'string', default: '20' },
    'rate-seconds': { type: 'string', default: '60' },
    sections: { type: 'string', default: CLUSTER_SECTIONS.join(',') },
    'hot-seconds': { type: 'string', default: '60' },
    pause: { type: 'string', default: '20' },
    rate: { type: 'string', default: '50' },
    pictures: { type: 'string', default: '200' },
    nodes: { type: 'string', default: '3' },
    viewers: { type: 'string', default: '4' },
    frozen: { type: 'string', default: '60' },
    views: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
  },
  async run(values, [trial, ...others]) {
    const { store } = values
    if (store !== 's3' && store !== 'file') throw new Error(`--store: "${store}" should be s3 or file`)
    const seed = wholeNumber('seed', values.seed)
    const kills = (usual: string): number => wholeNumber('kills', values.kills ?? usual)
    const runs: Readonly<Record<string, (scope: Scope) => Promise<readonly TrialFigure[]>>> = {
      ftp: (scope) => tryFtp(scope, { files: wholeNumber('files', values.files), seed, kills: kills('40'), say }),
      events: async (scope) => [
        ...(await tryEvents(scope, {
          events: wholeNumber('events', values.events),
          seed,
          store,
          kills: kills('5'),
          stops: wholeNumber('stops', values.stops),
          outageSeconds: wholeNumber('outage', values.outage),
          downSeconds: wholeNumber('sink-down', values['sink-down']),
          rateSeconds: wholeNumber('rate-seconds', values['rate-seconds']),
          say,
        })),
        ...(await cutPower(wholeNumber('cuts', values.cuts), createRandom(seed))),
      ],
      cluster: () =>
        tryCluster({
          sections: sectionsOf(values.sections),
          hotSeconds: wholeNumber('hot-seconds', values['hot-seconds']),
          changes: {
            pauseSeconds: wholeNumber('pause', values.pause),
            outageSeconds: wholeNumber('outage', values.outage),
            rate: wholeNumber('rate', values.rate),
            seed,
          },
          say,
        }),
      purge: (scope) =>
        tryPurges(scope, {
          pictures: wholeNumber('pictures', values.pictures),
          nodes: wholeNumber('nodes', values.nodes),
          viewers: wholeNumber('viewers', values.viewers),
          say,
        }),
      'frozen-osd': (scope) =>
        freezeOsd(scope, {
          frozenSeconds: wholeNumber('frozen', values.frozen),
          rate: wholeNumber('views', values.views),
          say,
        }),
    }

    const run = runs[trial ?? '']
    if (run === undefined || others.length > 0)
      throw new Error('name a trial: ftp, events, cluster, purge or frozen-osd; see --help')
    say(`seed ${seed}`)
    return conclude(await inScope(run))
  },
})

function conclude(figures: readonly TrialFigure[]): number {
  for (const line of formatFigures(figures)) say(line)
  return figures.every(({ isMet }) => isMet !== false) ? 0 : 1
}

function sectionsOf(text: string): readonly ClusterSection[] {
  return text.split(',').map((name) => {
    const section = CLUSTER_SECTIONS.find((each) => each === name)
    if (section === undefined) throw new Error(`--sections: "${name}" should be one of ${CLUSTER_SECTIONS.join(', ')}`)
    return section
  })
}
