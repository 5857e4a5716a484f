import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { CacheConfig, Config, EngineConfig } from '../../config/config.ts'
import { SECRET_KEY_FILE, SIGNING_KEY_FILE } from '../../config/own-files.ts'
import type { Secret } from '../../config/secret.ts'
import { type Diagnosis, fault, good, warning } from '../../lib/diagnosis.ts'
import { isErrno } from '../../sessions/store-failure.ts'

const WORLD_READABLE = 0o004
const WORLD_WRITABLE = 0o002
const STICKY = 0o1000

/** Every secret of the configuration, as a file may hold it. */
export function secretsOf({ session, signing, admin }: Config): ReadonlySet<string> {
  const keys = signing.keys.generated
    ? []
    : signing.keys.keys.map((key) => (key.kind === 'secret' ? key.secret : key.privateKey))
  const secrets: (Secret | undefined)[] = [
    session.secretKey.generated ? undefined : session.secretKey.value,
    ...session.secretKeyFallbacks,
    ...keys,
    admin?.token,
    ...[session.engine, session.readAlso?.engine].flatMap(engineSecrets),
  ]
  const passwords = [session.engine, session.readAlso?.engine].flatMap(databasePasswords)
  return new Set([...secrets.flatMap((secret) => secret?.reveal().trim() || []), ...passwords])
}

function engineSecrets(engine: EngineConfig | undefined): (Secret | undefined)[] {
  const cache: CacheConfig | undefined = engine !== undefined && 'cache' in engine ? engine.cache : undefined
  if (cache === undefined || cache.kind === 'memory' || cache.kind === 'memcached') return []
  return [cache.password, cache.kind === 'redis-sentinel' ? cache.sentinelPassword : undefined]
}

/** As the URL has it: that is how it stands in the file. */
function databasePasswords(engine: EngineConfig | undefined): string[] {
  if (engine === undefined || !('database' in engine) || engine.database.kind !== 'postgres') return []
  const password = URL.parse(engine.database.url.reveal())?.password
  return password === undefined || password === '' ? [] : [password, decodeURIComponent(password)]
}

/** The files that were read for a configuration, by absolute path. */
export type ReadFiles = ReadonlyMap<string, Uint8Array>

/** Who may read the files in which secrets stand, and who may replace what the gateway reads. */
export async function diagnoseFiles(config: Config, files: ReadFiles): Promise<Diagnosis[]> {
  const secrets = [...secretsOf(config)]
  const found: Diagnosis[] = []
  for (const [path, bytes] of files) {
    const text = Buffer.from(bytes).toString('utf8')
    const isSecret = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text) || secrets.some((secret) => text.includes(secret))
    found.push(...(await diagnoseFile(path, isSecret)))
  }
  const generated = [
    ...(config.session.secretKey.generated ? [SECRET_KEY_FILE] : []),
    ...(config.signing.keys.generated ? [SIGNING_KEY_FILE] : []),
  ]
  for (const file of generated) found.push(...(await diagnoseGenerated(file)))
  for (const folder of new Set([...files.keys()].map(dirname))) found.push(...(await diagnoseFolder(folder)))
  return found.length > 0 ? found : [good('no file that is read holds a secret, and none can be replaced by others')]
}

async function diagnoseFile(path: string, isSecret: boolean): Promise<Diagnosis[]> {
  const { mode } = await stat(path)
  const octal = octalOf(mode)
  if ((mode & WORLD_WRITABLE) !== 0) {
    return [fault(`every user of this machine may change ${path} (${octal})`, `chmod o-w ${path}`)]
  }
  if (!isSecret) return []
  if ((mode & WORLD_READABLE) === 0) return [good(`${path} holds a secret, and is closed to other users (${octal})`)]
  return [warning(`every user of this machine can read the secret in ${path} (${octal})`, `chmod o-rwx ${path}`)]
}

async function diagnoseGenerated(file: string): Promise<Diagnosis[]> {
  try {
    return await diagnoseFile(resolve(file), true)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
    return [good(`./${file} is made at the first start`)]
  }
}

/** Whoever may write in a folder can put another file in the place of one. */
async function diagnoseFolder(folder: string): Promise<Diagnosis[]> {
  const { mode } = await stat(folder)
  if ((mode & WORLD_WRITABLE) === 0 || (mode & STICKY) !== 0) return []
  const advice = `chmod o-w ${folder}`
  return [fault(`every user of this machine may replace the files in ${folder} (${octalOf(mode)})`, advice)]
}

function octalOf(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}
