// The body of `npm run docs`: writes the generated pages of docs/.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { settingsPage } from './docs/settings-page.ts'

await writeFile(join(import.meta.dirname, '../docs/settings.md'), settingsPage())
