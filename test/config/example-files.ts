import { generateKeyPairSync } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const checkout = resolve(import.meta.dirname, '../..')

export interface ExampleFile {
  /** From the top of the repository. */
  readonly name: string
  readonly text: string
}

/** The demo, all examples, and those of the files for deployment. */
export function exampleFiles(): ExampleFile[] {
  const names = globSync(['config/examples/*.yaml', 'deploy/**/sessiongate.yaml'], { cwd: checkout }).sort()
  return ['config/sessiongate.yaml', ...names].map((name) => ({
    name,
    text: readFileSync(join(checkout, name), 'utf8'),
  }))
}

/** What the examples ask of the machine they run on. */
export const exampleEnv: Readonly<Record<string, string>> = {
  SECRET_KEY: `django-insecure-${'0123456789abcdef'.repeat(3)}`,
  DATABASE_URL: 'postgres://shop:hunter2@db.internal:5432/shop',
}

/** A key as `openssl genpkey -algorithm ed25519` makes it, under the path that the examples name. */
export function exampleSecrets(): Readonly<Record<string, string>> {
  const { privateKey } = generateKeyPairSync('ed25519')
  return {
    '/run/secrets/sessiongate_ed25519.pem': String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    '/run/secrets/sessiongate_key': `${'k'.repeat(43)}\n`,
    '/run/secrets/sessiongate_key_2027_01': `${'n'.repeat(43)}\n`,
    '/var/lib/sessiongate/var/signing-key': `${'g'.repeat(43)}\n`,
    '/run/secrets/secret_key': `${'s'.repeat(50)}\n`,
    '/run/secrets/signing_key': `${'k'.repeat(43)}\n`,
    '/run/secrets/postgres_password': 'hunter2\n',
    '/run/secrets/sessiongate/secret_key': `${'s'.repeat(50)}\n`,
    '/run/secrets/sessiongate/signing_key': `${'k'.repeat(43)}\n`,
    '/run/secrets/sessiongate/database_url': 'postgres://shop:hunter2@db.internal:5432/shop\n',
    '/run/secrets/redis_password': 'hunter2\n',
    '/run/secrets/sentinel_password': 'hunter2\n',
    '/run/secrets/admin_token': `${'t'.repeat(43)}\n`,
    '/etc/sessiongate/pages/error.html': '<h1>{{title}}</h1>\n',
    '/etc/sessiongate/pages/missing.html': '<h1>{{title}}</h1>\n',
    '/etc/sessiongate/pages/no-cookie.html': '<h1>{{title}}</h1><ul>{{reasons}}</ul>\n',
  }
}
