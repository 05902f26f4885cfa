// DARKROOM_TOKEN=… node backend.mjs: a page with a form at http://127.0.0.1:3000. The token stays on the server.
import { createServer } from 'node:http'

const { DARKROOM_URL = 'http://127.0.0.1:8080', DARKROOM_TOKEN = '', PORT = '3000' } = process.env

const FORM = `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>Upload</title>
  <form action="/pictures" method="post" enctype="multipart/form-data">
    <label>Picture <input type="file" name="picture" accept="image/*" required></label>
    <button>Upload</button>
  </form>
</html>
`

const server = createServer(async (request, response) => {
  response.setHeader('Content-Type', 'text/html; charset=utf-8')
  if (request.method !== 'POST' || request.url !== '/pictures') {
    response.end(FORM)
    return
  }
  // Check the session of the user here. The form is passed on as it is: Darkroom accepts one file per form.
  const uploaded = await fetch(`${DARKROOM_URL}/images`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${DARKROOM_TOKEN}`, 'Content-Type': request.headers['content-type'] ?? '' },
    body: request,
    duplex: 'half',
  })
  const answer = await uploaded.json()
  response.statusCode = uploaded.status
  response.end(
    uploaded.ok
      ? `<!doctype html><title>Uploaded</title><img src="${DARKROOM_URL}${answer.urls.src}" alt="The uploaded picture">`
      : `<!doctype html><title>Refused</title><p role="alert">${answer.message.replaceAll('<', '&lt;')}</p>`,
  )
})
server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
