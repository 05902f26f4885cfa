import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, loadConfig } from '../../../src/config/env.ts'
import { misspelledNames } from '../../../src/config/names.ts'
import { FOREIGN_ENVIRONMENTS, serviceVariables } from '../../support/foreign-environments.ts'

const SETTINGS = Object.keys(loadConfig({}))

const MISSPELLED = {
  CACHE_MAX_BYTE: 'CACHE_MAX_BYTES',
  UPLOAD_TOKEN: 'UPLOAD_TOKENS',
  UPLAOD_TOKENS: 'UPLOAD_TOKENS',
  UPLOADTOKENS: 'UPLOAD_TOKENS',
  URL_KEY: 'URL_KEYS',
  DIALECT: 'DIALECTS',
  CACHEDIR: 'CACHE_DIR',
  S3_ENDPOINT_: 'S3_ENDPOINT',
  REMOTE_HOST: 'REMOTE_HOSTS',
  AWS_SECRET_ACESS_KEY: 'AWS_SECRET_ACCESS_KEY',
} as const
for (const [name, meant] of Object.entries(MISSPELLED)) {
  test(`${name} is refused, and ${meant} suggested`, () => {
    assert.throws(
      () => loadConfig({ [name]: 'a value of 16 characters or more' }),
      (error) => {
        assert.ok(error instanceof ConfigError)
        assert.match(error.message, new RegExp(`^${name}: unknown setting\\. Did you mean ${meant}\\?`, 'm'))
        // It may be a secret.
        assert.doesNotMatch(error.message, /a value/)
        return true
      },
    )
  })
}

test('Each setting of eight letters or more is suggested for its name with one or two letters wrong', () => {
  const long = SETTINGS.filter(({ length }) => length >= 8)
  assert.ok(long.length > 40)
  for (const name of long) {
    const wrong = [`${name}X`, name.slice(1), `${name.slice(0, 3)}QQ${name.slice(5)}`, name.replace('_', '')]
    for (const spelling of wrong.filter((text) => !SETTINGS.includes(text))) {
      const [mistake = 'none', ...more] = misspelledNames([spelling], SETTINGS, new Set())
      assert.match(mistake, new RegExp(`^${spelling}: .* ${name}\\?`))
      assert.deepEqual(more, [])
    }
  }
})

test('A name with three letters wrong, a short one and a blank one are left alone', () => {
  assert.deepEqual(
    misspelledNames(['CACHE_MAX_B', 'POST', 'STORED', 'SIZE', 'HOSTS', 'PORTS'], SETTINGS, new Set()),
    [],
  )
  loadConfig({ UPLOAD_TOKEN: ' ' })
})

for (const [name, variables] of Object.entries(FOREIGN_ENVIRONMENTS)) {
  test(`The environment of ${name} starts without a refusal`, () => {
    loadConfig(Object.fromEntries(variables.map((variable) => [variable, 'tcp://10.0.0.1:8080'])))
  })
}

test('A service in Kubernetes may have any name', () => {
  const words = SETTINGS.flatMap((name) => name.split('_').map((_, index, all) => all.slice(0, index + 1).join('_')))
  const variables = [...new Set(words)].flatMap(serviceVariables).filter((name) => !SETTINGS.includes(name))
  assert.deepEqual(misspelledNames(variables, SETTINGS, new Set()), [])
})

test('What the file of buckets refers to may be near a setting', () => {
  const env = { AWS_ACCESS_KEY_ID_2: 'an id', AWS_SECRET_ACCESS_KEY_B: 'a secret' }
  assert.throws(() => loadConfig(env), ConfigError)
  loadConfig(env, new Set(Object.keys(env)))
})
