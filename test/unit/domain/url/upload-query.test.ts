import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertUploadParameters } from '../../../../src/domain/url/query-options.ts'

for (const query of ['', 'sizes=400w+800w', 'sizes=400w&sizes=800w']) {
  test(`An upload may have the query "${query}"`, () => assertUploadParameters(new URLSearchParams(query)))
}

const REFUSED = {
  'size=400w': '"size" is not a parameter of POST /images: did you mean "sizes"?',
  'sizes=400w&Sizes=800w': '"Sizes" is not a parameter of POST /images: did you mean "sizes"?',
  'sizes[]=400w': '"sizes[]" is not a parameter of POST /images: did you mean "sizes"?',
  'w=400': '"w" is not a parameter of POST /images: write /images?sizes=400w+800w, or no query',
  v: '"v" is not a parameter of POST /images: write /images?sizes=400w+800w, or no query',
} as const
for (const [query, message] of Object.entries(REFUSED)) {
  test(`An upload with the query "${query}" is refused with a right one`, () => {
    assert.throws(() => assertUploadParameters(new URLSearchParams(query)), { code: 'invalid_upload', message })
  })
}
