/** HTML with each value escaped, unless it is HTML of this function. */
function html(parts, ...values) {
  const text = parts.reduce((before, part, at) => before + inserted(values[at - 1]) + part)
  return { html: text }
}

function inserted(value) {
  if (Array.isArray(value)) return value.map(inserted).join('')
  if (value?.html !== undefined) return value.html
  return String(value ?? '').replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** The search page. */
export function searchPage({ query, page, hasMore, images }, { images: total }) {
  const title = query === '' ? 'Images' : `${query} – Images`
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width">
  <title>${title}</title>
  <link rel="stylesheet" href="/page.css">
</head>
<body>
  <header>
    <h1><a href="/">Images</a></h1>
    <form role="search">
      <input type="search" name="q" value="${query}" aria-label="Search" placeholder="Name, label, camera, 2026-05 …">
      <button>Search</button>
    </form>
    <p>${new Intl.NumberFormat('en').format(total)} ${total === 1 ? 'image' : 'images'} in the index</p>
  </header>
  <main>
    ${images.length === 0 ? html`<p class="none">No images found.</p>` : html`<ul>${images.map(card)}</ul>`}
  </main>
  <nav aria-label="Pages">
    ${page > 1 ? html`<a rel="prev" href="${pageUrl(query, page - 1)}">Previous page</a>` : ''}
    ${hasMore ? html`<a rel="next" href="${pageUrl(query, page + 1)}">Next page</a>` : ''}
  </nav>
</body>
</html>
`.html
}

function card({ src, srcset, width, height, name, source, labels, camera, taken, stored, format, bytes, id }) {
  const facts = [camera, (taken ?? stored)?.slice(0, 10), `${width} × ${height}`, `${format} ${size(bytes)}`, source]
  return html`
      <li>
        <a href="${src}"><img src="${src}" srcset="${srcset}" sizes="240px" width="${width}" height="${height}" alt="" loading="lazy"></a>
        <h2>${name ?? id.slice(0, 12)}</h2>
        <p>${facts.filter(Boolean).join(' · ')}</p>
        ${labels.length === 0 ? '' : html`<p>${labels.map((label) => html`<a href="/?q=${encodeURIComponent(`label:${label}`)}">${label}</a> `)}</p>`}
      </li>`
}

const pageUrl = (query, page) => `/?${new URLSearchParams({ q: query, page })}`

function size(bytes) {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`
}
