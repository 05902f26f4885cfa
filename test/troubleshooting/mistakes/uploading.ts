import sharp from 'sharp'
import { form } from '../../../tools/requests/form.ts'
import { fixture } from '../../../tools/servers/darkroom.ts'
import type { Mistake } from '../../support/troubleshooting/mistake.ts'
import { CURL_TOKEN, curlUpload, requestMistakes, writing } from '../../support/troubleshooting/requests.ts'

const PHOTO = await fixture('mountains.jpg')
const HEIC = await fixture('mountains.heic')
const DRAWING = await fixture('fig-alpha.png')
const LARGE = await sharp({ create: { width: 2000, height: 1500, channels: 3, background: 'teal' } })
  .jpeg()
  .toBuffer()
const LOGO = await sharp({ create: { width: 90, height: 60, channels: 4, background: 'navy' } })
  .png()
  .toBuffer()
const SMALLER = await sharp(PHOTO).resize(800).jpeg().toBuffer()

const STORED = /^20[01] application\/json/

const upload = requestMistakes('Uploading', (servers) => servers.open())
const limited = requestMistakes('Uploading', (servers) => servers.small())

const CORRECT = curlUpload(`--data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
  headers: writing('image/jpeg'),
  body: PHOTO,
})
const CORRECT_FORM = curlUpload(`--form file=@photo.jpg ${CURL_TOKEN}`, formOf([['file', 'photo.jpg', PHOTO]]))

function formOf(fields: readonly (readonly [string, string, Buffer | string])[]) {
  const parts = fields.map(
    ([name, file, content]) => [`name="${name}"${file === '' ? '' : `; filename="${file}"`}`, content] as const,
  )
  const { headers, body } = form(parts)
  return { headers: { ...writing(''), ...headers }, body }
}

export const UPLOADING: readonly Mistake[] = [
  upload({
    title: 'curl sends its own Content-Type',
    wrong: () =>
      curlUpload(`--data-binary @photo.jpg ${CURL_TOKEN}`, {
        headers: writing('application/x-www-form-urlencoded'),
        body: PHOTO,
      }),
    says: /Unsupported Content-Type "application\/x-www-form-urlencoded"/,
    fix: 'Name the media type of the image, as curl names that of an HTML form by default. `application/octet-stream` is possible too.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'The Content-Type of a form is set by hand',
    wrong: () => ({
      method: 'POST',
      path: '/images',
      headers: writing('multipart/form-data'),
      body: formOf([['file', 'photo.jpg', PHOTO]]).body,
      shown: "fetch('/images', { method: 'POST', body: form, headers: { 'Content-Type': 'multipart/form-data', … } })",
    }),
    says: /The Content-Type "multipart\/form-data" has no boundary/,
    fix: 'Leave the header out: `fetch`, axios and others set it for a form, with the boundary between its parts.',
    right: () => ({
      method: 'POST',
      path: '/images',
      ...formOf([['file', 'photo.jpg', PHOTO]]),
      shown: "fetch('/images', { method: 'POST', body: form, headers: { Authorization: … } })",
    }),
    works: STORED,
  }),
  upload({
    title: 'The image is a field of JSON',
    wrong: () =>
      curlUpload(`--json '{"image": "data:image/jpeg;base64,…"}' ${CURL_TOKEN}`, {
        headers: writing('application/json'),
        body: JSON.stringify({ image: `data:image/jpeg;base64,${PHOTO.toString('base64')}` }),
      }),
    says: /Unsupported Content-Type "application\/json"/,
    fix: 'Send the bytes of the file as the body of the request.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'The image is Base64 text',
    wrong: () =>
      curlUpload(`--data "$(base64 -w0 photo.jpg)" -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        headers: writing('image/jpeg'),
        body: PHOTO.toString('base64'),
      }),
    says: /This is Base64 text: send the decoded bytes of the image/,
    fix: 'Send the bytes themselves. Of a `data:` URL in a browser: `(await fetch(dataUrl)).blob()`.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'The form has a text field instead of a file',
    wrong: () => curlUpload(`--form file=photo.jpg ${CURL_TOKEN}`, formOf([['file', '', 'photo.jpg']])),
    says: /The form contains no file: add a file field/,
    fix: 'curl sends a file with `@`; an HTML form needs `enctype="multipart/form-data"`. The field may have any name.',
    right: () => CORRECT_FORM,
    works: STORED,
  }),
  upload({
    title: 'The form has several files',
    wrong: () =>
      curlUpload(
        `--form a=@photo.jpg --form b=@drawing.png ${CURL_TOKEN}`,
        formOf([
          ['a', 'photo.jpg', PHOTO],
          ['b', 'drawing.png', DRAWING],
        ]),
      ),
    says: /The form contains several files: send one file/,
    fix: 'Send a request for each file; several at a time are fine.',
    right: () => CORRECT_FORM,
    works: STORED,
  }),
  upload({
    title: 'The photo comes from an iPhone',
    wrong: () =>
      curlUpload(`--data-binary @IMG_0001.HEIC -H 'Content-Type: image/heic' ${CURL_TOKEN}`, {
        headers: writing('image/heic'),
        body: HEIC,
      }),
    says: /HEIC is not supported: send the image as JPEG or AVIF/,
    fix: 'Convert it before the upload. A file input with `accept="image/jpeg"` makes iOS convert it.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'The image is an SVG',
    wrong: () =>
      curlUpload(`--data-binary @logo.svg -H 'Content-Type: image/svg+xml' ${CURL_TOKEN}`, {
        headers: writing('image/svg+xml'),
        body: '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
      }),
    says: /SVG is not enabled on this node \(INPUT_FORMATS\)/,
    fix: 'Serve SVG files yourself, as a browser scales them. To get pixels, export a PNG, or let the operator add `svg` to `INPUT_FORMATS`.',
    right: () =>
      curlUpload(`--data-binary @logo.png -H 'Content-Type: image/png' ${CURL_TOKEN}`, {
        headers: writing('image/png'),
        body: LOGO,
      }),
    works: STORED,
  }),
  upload({
    title: 'The file is a web page',
    wrong: () =>
      curlUpload(`--data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        headers: writing('image/jpeg'),
        body: '<!DOCTYPE html><html><title>Please log in</title></html>',
      }),
    says: /This is an HTML page, not an image in a supported format/,
    fix: 'The program that downloaded the file was given an error page or a login page. Check its status and type, and download the file again.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'The file is empty',
    wrong: () =>
      curlUpload(`--data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        headers: writing('image/jpeg'),
        body: Buffer.alloc(0),
      }),
    says: /The file is empty: send an image/,
    fix: 'Mostly a stream that was already read, or a file that is still being written. Open it again for each attempt.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'The file was cut off or sent as text',
    wrong: () =>
      curlUpload(`--data @photo.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        headers: writing('image/jpeg'),
        // What curl does to a file that it takes for text.
        body: Buffer.from(PHOTO.toString('latin1').replaceAll(/[\r\n\0]/g, ''), 'latin1'),
      }),
    says: /This JPEG cannot be decoded: it is damaged or incomplete/,
    fix: 'Send the bytes unchanged: `--data-binary` with curl, no text mode in your program. If the file itself is damaged, take another copy.',
    right: () => CORRECT,
    works: STORED,
  }),
  limited({
    title: 'The file has too many bytes',
    wrong: () =>
      curlUpload(`--data-binary @photo.png -H 'Content-Type: image/png' ${CURL_TOKEN}`, {
        headers: writing('image/png'),
        body: Buffer.concat([DRAWING, Buffer.alloc(200_000)]),
      }),
    says: /The original has [\d.]+ KiB; the limit is 160 KiB \(MAX_UPLOAD_BYTES\)/,
    fix: 'Reduce the image before the upload, or let the operator raise `MAX_UPLOAD_BYTES` (64M by default), and `client_max_body_size` in nginx.conf with it.',
    right: () => CORRECT,
    works: STORED,
  }),
  limited({
    title: 'The image has too many pixels',
    wrong: () =>
      curlUpload(`--data-binary @panorama.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        headers: writing('image/jpeg'),
        body: LARGE,
      }),
    says: /The original has 3 MP; the limit is 2 MP \(MAX_PIXELS\)/,
    fix: 'Reduce the image before the upload, or let the operator raise `MAX_PIXELS` (100 million by default), which costs memory.',
    right: () =>
      curlUpload(`--data-binary @reduced.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        headers: writing('image/jpeg'),
        body: SMALLER,
      }),
    works: STORED,
  }),
  upload({
    title: 'The upload has no token',
    wrong: () =>
      curlUpload("--data-binary @photo.jpg -H 'Content-Type: image/jpeg'", {
        headers: { 'Content-Type': 'image/jpeg' },
        body: PHOTO,
      }),
    says: /Uploading requires a token: send "Authorization: Bearer <token>"/,
    fix: 'Send one of `UPLOAD_TOKENS`. A node that was started without settings keeps its token in `data/upload-token`.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'The token is in the query or in another header',
    wrong: () =>
      curlUpload('--data-binary @photo.jpg -H \'Content-Type: image/jpeg\' -H "Authorization: $TOKEN"', {
        headers: { ...writing('image/jpeg'), Authorization: 'a-token-for-tests-only' },
        body: PHOTO,
      }),
    says: /The Authorization header is not "Bearer <token>"/,
    fix: 'The header is `Authorization`, and its value is the word `Bearer`, a space and the token. A query would show the token in logs.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'The token is wrong',
    wrong: () =>
      curlUpload(`--data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        headers: { ...writing('image/jpeg'), Authorization: 'Bearer the-token-of-another-node' },
        body: PHOTO,
      }),
    says: /Invalid token\. Uploading requires a token/,
    fix: 'Compare it with `UPLOAD_TOKENS` of the node. Frequent causes are a line break at its end, and nodes behind one address with different tokens.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'A parameter of the upload is misspelled',
    wrong: () =>
      curlUpload(`--data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        path: '/images?size=400w',
        headers: writing('image/jpeg'),
        body: PHOTO,
      }),
    says: /"size" is not [^:]+: did you mean "sizes"\?/,
    fix: 'The parameter that renders sizes ahead is `sizes`.',
    right: () =>
      curlUpload(`--data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        path: '/images?sizes=400w',
        headers: writing('image/jpeg'),
        body: PHOTO,
      }),
    works: STORED,
  }),
  upload({
    title: 'The URL of the upload ends in a slash',
    wrong: () =>
      curlUpload(`--data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${CURL_TOKEN}`, {
        path: '/images/',
        headers: writing('image/jpeg'),
        body: PHOTO,
      }),
    says: /No route matches this URL; did you mean \/images\?/,
    fix: 'Paths are exact: the upload is `POST /images`.',
    right: () => CORRECT,
    works: STORED,
  }),
  upload({
    title: 'A page of another site uploads from the browser',
    wrong: () => ({
      method: 'OPTIONS',
      path: '/images',
      headers: { Origin: 'https://shop.example', 'Access-Control-Request-Method': 'POST' },
      shown:
        "fetch('https://img.example.com/images', { method: 'POST', … }) at https://shop.example\nOPTIONS /images, the CORS preflight of the browser",
    }),
    says: /Method not allowed for this URL; allowed: POST/,
    fix: 'CORS is not enabled for uploads, as a page would have to contain the token. Send the file to your own server, and from there to Darkroom: see [uploads](recipes/uploads.md).',
    right: () => CORRECT,
    works: STORED,
  }),
]
