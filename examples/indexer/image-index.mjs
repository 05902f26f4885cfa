import { DatabaseSync } from 'node:sqlite'

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE IF NOT EXISTS images (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,         -- of the last event
    event TEXT,                       -- its id
    deleted INTEGER NOT NULL,         -- a deleted image keeps its row, so that no late event brings it back
    listing INTEGER,                  -- the last listing that contained it
    details INTEGER NOT NULL,         -- attempts to read them that failed; -1: they are known
    name TEXT, source TEXT, labels TEXT, camera TEXT, taken TEXT,
    stored TEXT, width INTEGER, height INTEGER, format TEXT, bytes INTEGER, src TEXT, srcset TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS images_without_details ON images (details, number) WHERE details >= 0 AND deleted = 0;
  CREATE INDEX IF NOT EXISTS images_by_time ON images (stored) WHERE deleted = 0;
  CREATE INDEX IF NOT EXISTS images_deleted ON images (number) WHERE deleted = 1;
  CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
    name, source, label, camera, date, size, format, caption, tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
  );
  CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT) STRICT;
`
const KNOWN = -1
const FIELDS = ['name', 'source', 'label', 'camera', 'date', 'size', 'format', 'caption']

/** The index: the newest state of each image, its words for full-text search, and how far the events are processed. */
export function openIndex(path) {
  const db = new DatabaseSync(path)
  db.exec(SCHEMA)
  const sql = statements(db)
  const get = (key) => sql.get.get(key)?.value ?? undefined
  const set = (key, value) => sql.set.run(key, value === undefined ? null : String(value))
  const count = (name) => set(name, Number(get(name) ?? 0) + 1)

  function transaction(work) {
    db.exec('BEGIN IMMEDIATE')
    try {
      work()
      db.exec('COMMIT')
    } catch (error) {
      db.exec('ROLLBACK')
      throw error
    }
  }

  function applyOne({ id: event = null, type, subject: id, data }) {
    // Of later versions of Darkroom, or a rejected file.
    if (type !== 'image.stored' && type !== 'image.deleted') return count('ignored')
    const { version } = data
    const last = sql.one.get(id)
    // Delivered twice.
    if (event !== null && last?.event === event) return count('duplicates')
    // An older one that arrives late, or an image of a listing whose event was faster.
    if (last !== undefined && last.version >= version) return count('ignored')
    const deleted = type === 'image.deleted' ? 1 : 0
    const { number } = sql.put.get({ id, version, event, deleted, ...columns(data) })
    sql.forget.run(number)
    if (!deleted) sql.index.run({ number, ...words(data, {}) })
    count('processed')
  }

  return {
    get,

    /** Processes events and saves values of the state: all of it, or nothing. */
    apply(events, state = {}) {
      transaction(() => {
        for (const event of events) applyOne(event)
        for (const [key, value] of Object.entries(state)) set(key, value)
      })
    },

    /**
     * Processes a page of a listing, in the form of events.
     * @param isLast Whether the listing ends with it. Images of versions before `before` that it did not contain are removed.
     */
    applyListed(events, state, { listing, isLast, before }) {
      transaction(() => {
        for (const event of events) {
          applyOne(event)
          sql.list.run(listing, event.subject)
        }
        for (const { number } of isLast ? sql.unlisted.all(listing, before) : []) {
          sql.remove.run(number)
          sql.forget.run(number)
        }
        for (const [key, value] of Object.entries(state)) set(key, value)
      })
    },

    withoutDetails: (limit) => sql.withoutDetails.all(limit),

    /** Adds the fields of `GET /images/{id}/info`, unless a later event has changed the image. */
    addDetails({ id, version }, info) {
      transaction(() => {
        const row = sql.one.get(id)
        if (row?.version !== version || row.deleted) return
        const { camera = {}, capturedAt = null, urls = {} } = info
        const model = [camera.make, camera.model].filter(Boolean).join(' ') || null
        const details = { camera: model, taken: capturedAt, src: urls.src ?? null, srcset: urls.srcset ?? null }
        sql.detail.run({ number: row.number, details: KNOWN, ...details })
        sql.forget.run(row.number)
        sql.index.run({ number: row.number, ...words({ ...row, labels: JSON.parse(row.labels) }, info) })
      })
    },

    /** After a failure: others come first. */
    postponeDetails(id) {
      sql.postpone.run(id)
    },

    /** @returns up to `limit` images; the best matches first, without a query the newest. */
    search(query, { limit, offset }) {
      const match = matchExpression(query)
      const rows = match === '' ? sql.newest.all(limit, offset) : sql.search.all(match, limit, offset)
      return rows.map(({ labels, ...row }) => ({ ...row, labels: JSON.parse(labels) }))
    },

    stats() {
      const counts = Object.fromEntries(['processed', 'duplicates', 'ignored'].map((key) => [key, Number(get(key) ?? 0)]))
      return { ...sql.stats.get(), ...counts, listed: get('listed') === 'all' }
    },

    close: () => db.close(),
  }
}

/**
 * The expression of FTS5 for what a user types: all words, each also as the beginning of a word. `camera:x100` finds the word in
 * one field. Quoted, no character has a meaning of its own.
 */
export function matchExpression(query) {
  const terms = query.slice(0, 200).split(/\s+/).filter((term) => /[\p{L}\p{N}]/u.test(term))
  return terms
    .map((term) => {
      const [, field, rest] = /^(\w+):(.+)$/.exec(term) ?? []
      const isField = FIELDS.includes(field) && /[\p{L}\p{N}]/u.test(rest)
      const quoted = (text) => `"${text.replaceAll('"', '""')}"*`
      return isField ? `${field} : ${quoted(rest)}` : quoted(term)
    })
    .join(' AND ')
}

function columns({ name, source, labels = [], uploadedAt, width, height, format, bytes }) {
  const texts = { name, source, stored: uploadedAt, width, height, format, bytes }
  const known = Object.entries(texts).map(([key, value]) => [key, value ?? null])
  return { ...Object.fromEntries(known), labels: JSON.stringify(labels) }
}

function words({ name, source, labels = [], stored, uploadedAt = stored, width, height, format }, info) {
  const { camera = {}, capturedAt, artist, caption } = info
  const list = (...values) => values.filter(Boolean).join(' ')
  return {
    name: name ?? '',
    source: source ?? '',
    label: labels.join(' '),
    camera: list(camera.make, camera.model, camera.lens),
    date: list((capturedAt ?? uploadedAt)?.slice(0, 10)),
    size: `${width}x${height}`,
    format: list(format),
    caption: list(caption, artist),
  }
}

function statements(db) {
  const fields = 'name, source, labels, stored, width, height, format, bytes'
  const shown = `images.id, version, images.name, images.source, labels, images.camera, taken, stored, width, height,
    images.format, bytes, src, srcset`
  const values = (names) => names.split(/,\s*/).map((name) => `$${name}`).join(', ')
  const updates = (names) => names.split(/,\s*/).map((name) => `${name} = excluded.${name}`).join(', ')
  const changing = `version, event, deleted, ${fields}`
  return {
    get: db.prepare('SELECT value FROM state WHERE key = ?'),
    set: db.prepare('INSERT INTO state VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value'),
    one: db.prepare('SELECT * FROM images WHERE id = ?'),
    put: db.prepare(`INSERT INTO images (id, ${changing}, details) VALUES ($id, ${values(changing)}, 0)
      ON CONFLICT (id) DO UPDATE SET ${updates(changing)}, details = 0, camera = NULL, taken = NULL, src = NULL, srcset = NULL
      RETURNING number`),
    index: db.prepare(`INSERT INTO words (rowid, ${FIELDS.join()}) VALUES ($number, ${values(FIELDS.join())})`),
    forget: db.prepare('DELETE FROM words WHERE rowid = ?'),
    list: db.prepare('UPDATE images SET listing = ? WHERE id = ?'),
    unlisted: db.prepare('SELECT number FROM images WHERE deleted = 0 AND listing IS NOT ? AND version < ?'),
    remove: db.prepare('UPDATE images SET deleted = 1 WHERE number = ?'),
    withoutDetails: db.prepare(`SELECT id, version FROM images WHERE details >= 0 AND deleted = 0
      ORDER BY details, number LIMIT ?`),
    detail: db.prepare(`UPDATE images SET details = $details, camera = $camera, taken = $taken, src = $src, srcset = $srcset
      WHERE number = $number`),
    postpone: db.prepare('UPDATE images SET details = details + 1 WHERE id = ? AND details >= 0'),
    newest: db.prepare(`SELECT ${shown} FROM images WHERE deleted = 0 ORDER BY stored DESC LIMIT ? OFFSET ?`),
    search: db.prepare(`SELECT ${shown} FROM words JOIN images ON number = words.rowid WHERE words MATCH ?
      ORDER BY rank LIMIT ? OFFSET ?`),
    stats: db.prepare(`SELECT (SELECT count(*) FROM images WHERE deleted = 0) AS images,
      (SELECT count(*) FROM images WHERE deleted = 1) AS deleted`),
  }
}
