// The body of `npm run docs`: writes the generated pages of docs/ and the nginx configurations.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generatedFiles } from './docs/generated-files.ts'

for (const [file, content] of Object.entries(generatedFiles())) {
  await writeFile(join(import.meta.dirname, '..', file), content)
}
