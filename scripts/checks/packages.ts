import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { failure, ok, type Result, reasonOf } from './finding.ts'

const INSTALL = join(import.meta.dirname, '../install-missing.js')
const ADVICE = 'Run "NODE_ENV=production node scripts/install-missing.js" in the folder of Darkroom'

/**
 * Compares the installed packages with the lockfile, and loads sharp, whose binary depends on the machine. It imports nothing
 * but Node's own modules: all other checks need the packages.
 */
export async function checkPackages(): Promise<Result> {
  const [missing, libvips] = await Promise.all([missingPackage(), loadSharp()])
  if (missing !== undefined) return failure(`A locked package is not installed: ${missing}.`, `${ADVICE}.`)
  if ('trouble' in libvips) {
    const advice = `${ADVICE} on this machine, not on one of another kind.`
    return failure(`sharp cannot be loaded: ${libvips.trouble}.`, advice)
  }
  const { node } = process.versions
  return ok(`Node ${node} and the locked packages are installed; sharp loads libvips ${libvips.version}.`)
}

function missingPackage(): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(process.execPath, [INSTALL, '--check'], (error, stdout) => {
      resolve(error === null ? undefined : stdout.trim() || reasonOf(error))
    })
  })
}

async function loadSharp(): Promise<{ readonly version: string } | { readonly trouble: string }> {
  try {
    const { default: sharp } = await import('sharp')
    return { version: sharp.versions.vips }
  } catch (error) {
    return { trouble: reasonOf(error).split('\n')[0] ?? '' }
  }
}
