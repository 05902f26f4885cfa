import { ensureCommand, ensurePackages } from './debian-packages.ts'
import { ensureCached, LIBTHUMBOR_VERSION, pipInstall, writePython } from './install-servers.ts'

const DJANGO_VERSION = '5.2.19'
/** Of the example in examples/django, and the client libraries of thumbor and imgproxy for Python. */
const DJANGO_PACKAGES = [
  `Django==${DJANGO_VERSION}`,
  'django-storages==1.14.6',
  'boto3==1.44.8',
  'Pillow==13.0.0',
  `libthumbor==${LIBTHUMBOR_VERSION}`,
  'django-thumbor==0.6.0',
  'imgproxy==1.0.0',
]

/**
 * What the tests in test/frameworks need of Debian and PyPI: a minute, once. Before they start, because packages that are
 * installed beside a test may replace the PHP that it runs.
 */
export async function ensureFrameworks(): Promise<void> {
  await ensureDjango()
  await ensureLaravel()
  await ensureRails()
  await ensureWordpress()
}

/** @returns The path of a Python that can import Django and what examples/django needs: half a minute, once. */
export function ensureDjango(): Promise<string> {
  return ensureCached(`django-${DJANGO_VERSION}/python`, async (folder) => {
    await pipInstall(DJANGO_PACKAGES, folder)
    await writePython(folder)
  })
}

/** WordPress in `/usr/share/wordpress`, with its theme, and MariaDB: half a minute, once. @returns Paths of PHP and MariaDB. */
export async function ensureWordpress(): Promise<Readonly<Record<'php' | 'mariadb' | 'createDatabase', string>>> {
  const services = ['mariadb.service']
  const packages = [
    'wordpress',
    'wordpress-theme-twentytwentythree',
    'mariadb-server',
    'php-cli',
    'php-mysql',
    'php-gd',
  ]
  await ensurePackages({ packages, services })
  return {
    php: await ensureCommand('php', { packages, services }),
    mariadb: await ensureCommand('mariadbd', { packages, services }),
    createDatabase: await ensureCommand('mariadb-install-db', { packages, services }),
  }
}

/** Debian's Laravel, with its HTTP client and SQLite. @returns The path of PHP. */
export async function ensureLaravel(): Promise<string> {
  const packages = ['php-laravel-framework', 'php-guzzlehttp-guzzle', 'php-cli', 'php-curl', 'php-sqlite3']
  await ensurePackages({ packages, services: [] })
  return await ensureCommand('php', { packages, services: [] })
}

/** Debian's Rails, with Puma, SQLite and the SDK of S3. @returns Paths of Ruby and Puma. */
export async function ensureRails(): Promise<Readonly<Record<'ruby' | 'puma', string>>> {
  const packages = ['ruby-rails', 'puma', 'ruby-sqlite3', 'ruby-aws-sdk-s3']
  await ensurePackages({ packages, services: [] })
  return {
    ruby: await ensureCommand('ruby', { packages, services: [] }),
    puma: await ensureCommand('puma', { packages, services: [] }),
  }
}
