import { uploadFixture } from '../../../tools/servers/darkroom.ts'
import { startNodeFor } from '../../../tools/servers/site.ts'
import type { Mistake } from '../../support/troubleshooting/mistake.ts'
import { attempt } from '../../support/troubleshooting/requests.ts'
import type { Servers } from '../../support/troubleshooting/servers.ts'

interface SourceMistake extends Omit<Mistake, 'section' | 'make' | 'works'> {
  /** The path. @param port Of the remote host. */
  readonly wrong: (port: number) => string
  readonly right: (port: number) => string
}

const source = ({ wrong, right, ...mistake }: SourceMistake): Mistake => ({
  ...mistake,
  section: 'Buckets and remote hosts',
  works: /^200 image\//,
  async make(_, servers: Servers) {
    const { url, port } = await servers.elsewhere()
    const ask = async (path: string) => {
      const { done, answer } = await attempt(url, { path })
      return { done: withoutPort(done, port), answer: withoutPort(answer, port) }
    }
    return { wrong: await ask(wrong(port)), right: await ask(right(port)) }
  },
})

/** The host of the page has the usual port. */
function withoutPort(text: string, port: number): string {
  return text.replaceAll(`:${port}`, '').replaceAll(new RegExp(`%(?:25)?3A${port}`, 'g'), '')
}

const remote = (url: string) => `/image?url=${encodeURIComponent(url)}&size=400w`
const CAT = (port: number) => remote(`http://images.example:${port}/cat.jpg`)

interface HostMistake extends Omit<Mistake, 'section' | 'make' | 'works'> {
  /** The setting that is missing at first. */
  readonly without: 'REMOTE_HOSTS' | 'REMOTE_ALLOW_ADDRESSES'
  /** What is set then, for the page. */
  readonly setting: string
}

/** The same URL at a node without a setting, and at one with it. */
const hosted = ({ without, setting, ...mistake }: HostMistake): Mistake => ({
  ...mistake,
  section: 'Buckets and remote hosts',
  works: /^200 image\//,
  async make(t, servers) {
    const { url, port, remotes } = await servers.elsewhere()
    const node = await startNodeFor(t, { env: { ...remotes, [without]: '' } })
    const ask = async (origin: string) => {
      const { done, answer } = await attempt(origin, { path: CAT(port) })
      return { done: withoutPort(done, port), answer: withoutPort(answer, port) }
    }
    const { done, answer } = await ask(url)
    return { wrong: await ask(node.url), right: { done: `${setting} npm start\n${done}`, answer } }
  },
})

export const SOURCES: readonly Mistake[] = [
  hosted({
    title: 'The remote host is not on the allow-list',
    without: 'REMOTE_HOSTS',
    says: /http:\/\/images\.example is not an allowed host \(REMOTE_HOSTS\)/,
    fix: 'The operator adds the host to `REMOTE_HOSTS`. Scheme and port count: `example.com` is the host at `https://`. See [remote hosts](remote.md).',
    setting: 'REMOTE_HOSTS=http://images.example',
  }),
  source({
    title: 'The URL of the remote image has no scheme',
    wrong: () => '/image?url=/uploads/cat.jpg&size=400w',
    says: /The URL of the remote image should be an absolute URL/,
    fix: 'Write scheme and host, also for images of your own site.',
    right: CAT,
  }),
  source({
    title: 'The URL of the remote image is encoded twice',
    wrong: (port) => remote(encodeURIComponent(`http://images.example:${port}/cat.jpg`)),
    says: /The URL of the remote image should be an absolute URL/,
    fix: 'Encode the URL once. `URLSearchParams` and most functions that build a query already do that.',
    right: CAT,
  }),
  hosted({
    title: 'The remote host has a private address',
    without: 'REMOTE_ALLOW_ADDRESSES',
    says: /The address of this host is not public \(REMOTE_ALLOW_ADDRESSES\)/,
    fix: 'An allowed host inside your network also needs its address or network in `REMOTE_ALLOW_ADDRESSES`, so that DNS cannot lead the node to other machines there.',
    setting: 'REMOTE_HOSTS=http://images.example REMOTE_ALLOW_ADDRESSES=127.0.0.1',
  }),
  source({
    title: 'The remote host answers with a web page',
    wrong: (port) => remote(`http://images.example:${port}/page`),
    says: /The remote host responded with an unsupported image format or with no image/,
    fix: 'Open the URL without cookies: a login, a consent page or a block of bots stands before the image. Use the URL of the file itself.',
    right: CAT,
  }),
  source({
    title: 'The remote host does not have the image',
    wrong: (port) => remote(`http://images.example:${port}/missing.jpg`),
    says: /The remote host has no image at this URL/,
    fix: 'Correct the URL. Darkroom looks again after a while; see [remote hosts](remote.md).',
    right: CAT,
  }),
  source({
    title: 'The bucket is not configured',
    wrong: () => '/s3/my-photos/cat.jpg/-/400w',
    says: /Unknown bucket alias "my-photos"/,
    fix: 'The URL contains an alias of `BUCKETS_FILE`, which need not be the name of the bucket. See [buckets](buckets.md).',
    right: () => '/s3/photos/cat.jpg/-/400w',
  }),
  source({
    title: 'The size of an object has no separator',
    wrong: () => '/s3/photos/cat.jpg/400w',
    says: /Malformed object path: use \/s3\/\{bucket\}\/\{key\}\/-\/400w/,
    fix: 'Write `/-/` between key and size, as a key may contain slashes.',
    right: () => '/s3/photos/cat.jpg/-/400w',
  }),
  source({
    title: 'A space in a key is written as a plus sign',
    wrong: () => '/s3/photos/my+cat.jpg/-/400w',
    says: /Image not found/,
    fix: 'In a path a space is `%20`, and `+` is a plus sign. Encode each segment of the key with `encodeURIComponent`.',
    right: () => '/s3/photos/my%20cat.jpg/-/400w',
  }),
  source({
    title: 'A percent sign in a key is not encoded',
    wrong: () => '/s3/photos/100%.jpg/-/400w',
    says: /encode a percent sign in the path as %25/,
    fix: 'Encode each segment of the key with `encodeURIComponent`.',
    right: () => '/s3/photos/100%25.jpg/-/400w',
  }),
  {
    section: 'Buckets and remote hosts',
    title: 'URLs of thumbor or imgproxy are not enabled',
    says: /No route matches this URL; the setting DIALECTS enables URLs of thumbor/,
    fix: 'Set `DIALECTS`, with the prefix of the URLs: `/thumbor`, or a host name for URLs without a prefix. See [dialects](dialects.md).',
    works: /^200 image\//,
    async make(t, servers) {
      const { url, id } = await servers.open()
      const node = await startNodeFor(t, { env: { DIALECTS: 'thumbor=/thumbor', THUMBOR_BASE: 'image/' } })
      await uploadFixture(node.url, 'mountains.jpg')
      const right = await attempt(node.url, { path: `/thumbor/unsafe/400x300/${id}` })
      return {
        wrong: await attempt(url, { path: `/unsafe/400x300/${id}` }),
        right: { ...right, done: `DIALECTS=thumbor=/thumbor THUMBOR_BASE=image/ npm start\n${right.done}` },
      }
    },
  },
]
