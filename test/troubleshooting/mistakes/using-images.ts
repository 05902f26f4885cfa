import { fixture, upload, uploadFixture } from '../../../tools/servers/darkroom.ts'
import type { Mistake } from '../../support/troubleshooting/mistake.ts'
import { attempt, requestMistakes, writing } from '../../support/troubleshooting/requests.ts'

const request = requestMistakes('Using images', (servers) => servers.open())
const get = (path: string) => ({ path })

export const USING_IMAGES: readonly Mistake[] = [
  request({
    title: 'The size has no unit',
    wrong: ({ id }) => get(`/image/${id}/400`),
    says: /"400" is not a size; did you mean "400w"\?/,
    fix: 'A size is `400w` (width), `300h` (height), `400w300h` (a box) or `100s` (a square), in CSS pixels.',
    right: ({ id }) => get(`/image/${id}/400w`),
  }),
  request({
    title: 'Width and height are written as 400x300',
    wrong: ({ id }) => get(`/image/${id}/400x300`),
    says: /"400x300" is not a size; did you mean "400w300h"\?/,
    fix: 'Write `400w300h`. To fill the box and crop the rest, write `400w300h,cover`.',
    right: ({ id }) => get(`/image/${id}/400w300h,cover`),
  }),
  request({
    title: 'The size is in the query',
    wrong: ({ id }) => get(`/image/${id}/full?w=400&q=80`),
    says: /"w" belongs in the path, not in the query/,
    fix: 'Size and options are a segment of the path, separated by commas. Other parameters, such as `?v=3`, are ignored.',
    right: ({ id }) => get(`/image/${id}/400w,q80`),
  }),
  request({
    title: 'An option has the name that another service uses',
    wrong: ({ id }) => get(`/image/${id}/400w300h,crop`),
    says: /"crop" is not an option; did you mean "400w300h,cover"\?/,
    fix: 'The options are listed under [size specification](api.md#size-specification). To keep the URLs of thumbor, imgproxy or ipx, see [dialects](dialects.md).',
    right: ({ id }) => get(`/image/${id}/400w300h,cover`),
  }),
  request({
    title: 'Two fits are combined',
    wrong: ({ id }) => get(`/image/${id}/400w300h,cover,contain`),
    says: /"cover" and "contain" cannot be combined/,
    fix: 'Use one fit: `cover` crops, `contain` adds a border, `inside` (the default) does neither.',
    right: ({ id }) => get(`/image/${id}/400w300h,contain`),
  }),
  request({
    title: 'A fit has only one side to fit into',
    wrong: ({ id }) => get(`/image/${id}/400w,cover`),
    says: /"cover" requires a width and a height/,
    fix: 'Give the box both sides, or leave the fit out.',
    right: ({ id }) => get(`/image/${id}/400w300h,cover`),
  }),
  request({
    title: 'The quality is 0',
    wrong: ({ id }) => get(`/image/${id}/400w,q0`),
    says: /"q0" is not a quality: write an integer from 1 to 100/,
    fix: 'Leave `q` out: the default has the same visual quality in every format. Otherwise write 1 to 100.',
    right: ({ id }) => get(`/image/${id}/400w`),
  }),
  request({
    title: 'The pixel density is written as in a file name',
    wrong: ({ id }) => get(`/image/${id}/400w@2x`),
    says: /"400w@2x" is not a size; did you mean "400w,2x"\?/,
    fix: 'The density is an option: `400w,2x` is 800 device pixels wide.',
    right: ({ id }) => get(`/image/${id}/400w,2x`),
  }),
  request({
    title: 'The picture is larger than the node allows',
    wrong: ({ id }) => get(`/image/${id}/6000w,2x`),
    says: /is too large: the maximum side is 8192 device pixels \(MAX_SIDE\)/,
    fix: 'The limit counts device pixels, so it includes `2x`. Ask for a smaller picture; the operator can raise `MAX_SIDE`.',
    right: ({ id }) => get(`/image/${id}/3000w,2x`),
  }),
  request({
    title: 'The format is written as an option',
    wrong: ({ id }) => get(`/image/${id}/400w,webp`),
    says: /"webp" is a format, not an option/,
    fix: 'The format is the extension. Without one, the browser gets the best format that it accepts.',
    right: ({ id }) => get(`/image/${id}/400w.webp`),
  }),
  request({
    title: 'The extension is that of the original',
    wrong: ({ id }) => get(`/image/${id}/400w/cat.heic`),
    says: /"heic" is not an output format: write jpg, png, webp, avif or gif/,
    fix: 'The extension is the format of the response, not of the original.',
    right: ({ id }) => get(`/image/${id}/400w/cat.jpg`),
  }),
  request({
    title: 'A variable of the template is empty',
    wrong: () => get('/image/undefined/400w'),
    says: /"undefined" is not an image id/,
    fix: 'Keep the field `id` of the response to the upload, and write it into the URL. The name of the file is not an id.',
    right: ({ id }) => get(`/image/${id}/400w`),
  }),
  request({
    title: 'The URL begins with /images instead of /image',
    wrong: ({ id }) => get(`/images/${id}/400w`),
    says: /No route matches this URL; did you mean \/image\//,
    fix: 'Pictures are below `/image/`. The API of uploads, records and originals is below `/images`.',
    right: ({ id }) => get(`/image/${id}/400w`),
  }),
  request({
    title: 'A slash too many, or another case',
    wrong: ({ id }) => get(`//Image/${id}/400w`),
    says: /No route matches this URL; did you mean \/image\//,
    fix: 'Paths are exact, so that each picture has one URL in caches. A base URL that ends in a slash is a frequent cause.',
    right: ({ id }) => get(`/image/${id}/400w`),
  }),
  request({
    title: 'A name in the URL is not percent-encoded',
    wrong: ({ id }) => get(`/image/${id}/400w/100%.jpg`),
    says: /encode a percent sign in the path as %25/,
    fix: 'Encode names with `encodeURIComponent`, or the function of your language for a segment of a path.',
    right: ({ id }) => get(`/image/${id}/400w/${encodeURIComponent('100%')}.jpg`),
  }),
  {
    section: 'Using images',
    title: 'The image was uploaded to another node or store',
    says: /Image not found/,
    fix: 'Ask a node with the same `STORE`, or upload the image here: the same bytes have the same id everywhere. A browser or CDN may keep this 404 for 5 seconds.',
    works: /^200 image\//,
    async make(_, servers) {
      const { url } = await servers.open()
      const path = '/image/b7fbfc86d0dd0fafc33aaeb13cc2bd7e3c08bbdc/100w.png'
      const wrong = await attempt(url, { path })
      const id = await uploadFixture(url, 'fig-alpha.png')
      return { wrong, right: await attempt(url, { path: path.replace(/[0-9a-f]{40}/, id) }) }
    },
  },
  {
    section: 'Using images',
    title: 'The image was deleted',
    says: /This image was deleted/,
    fix: 'Remove the URL from your page. If the deletion was a mistake, upload the file again: it gets the same id.',
    works: /^200 image\//,
    async make(_, servers) {
      const { url } = await servers.open()
      const id = await uploadFixture(url, 'brushes-p3.jpg')
      const path = `/image/${id}/400w`
      await attempt(url, { method: 'DELETE', path: `/images/${id}`, headers: writing('') })
      const wrong = await attempt(url, { path })
      await upload(url, await fixture('brushes-p3.jpg'))
      return { wrong, right: await attempt(url, { path }) }
    },
  },
  request({
    title: 'A page shows the original',
    wrong: ({ id }) => get(`/images/${id}/original`),
    says: /Access to originals requires a token/,
    fix: 'Originals contain private metadata, so they need an upload token, which a page must not contain. `full` is the whole picture without metadata.',
    right: ({ id }) => get(`/image/${id}/full`),
  }),
]
