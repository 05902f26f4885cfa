// The body of `npm run check:subject -- <file>`: checks the subject of the commit message in a file, as the hook commit-msg does.
import { readFile } from 'node:fs/promises'
import { subjectMistake } from './checks/commit-subject.ts'

const [file] = process.argv.slice(2)
if (file === undefined) throw new Error('Usage: npm run check:subject -- <file with the commit message>')
const [subject = ''] = (await readFile(file, 'utf8')).split('\n')
const mistake = subjectMistake(subject)
if (mistake !== undefined) {
  process.stderr.write(`${mistake}\n`)
  process.exitCode = 1
}
