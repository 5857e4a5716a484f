import type { Config } from '../../config/config.ts'
import type { Problem } from '../../config/problem.ts'
import { type Diagnosis, fault, good, warning } from '../../lib/diagnosis.ts'

/** What `check` says, one diagnosis each. */
export function diagnoseProblems(file: string, problems: readonly Problem[]): Diagnosis[] {
  const told = problems.map((problem) => {
    const place = [problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(':')
    const tell = problem.severity === 'error' ? fault : warning
    return tell(`${place}: ${problem.message}`, problem.hint)
  })
  return told.length > 0 ? told : [good(`${file} is sound`)]
}

/** Beyond what `check` knows: what the keys are to each other. Nothing of a key is told. */
export function diagnoseKeys({ session, signing }: Pick<Config, 'session' | 'signing'>): Diagnosis[] {
  const diagnoses: Diagnosis[] = []
  const secretKey = session.secretKey.generated ? undefined : session.secretKey.value.reveal()
  if (secretKey === undefined) {
    diagnoses.push(good('session.secret_key is the gateway’s own, made once in ./var', 'keep ./var when you move'))
  } else if (secretKey.startsWith('django-insecure-')) {
    const advice = 'make a new one, and put this one under secret_key_fallbacks until its sessions are over'
    diagnoses.push(warning('session.secret_key is the one that startproject wrote into settings.py', advice))
  } else {
    const count = session.secretKeyFallbacks.length
    diagnoses.push(good(`session.secret_key is set${count === 0 ? '' : `, with ${count} before it that still verify`}`))
  }
  if (session.secretKeyFallbacks.some((fallback) => fallback.reveal() === secretKey)) {
    diagnoses.push(warning('session.secret_key stands under secret_key_fallbacks too', 'remove it there'))
  }
  return [...diagnoses, ...diagnoseSigning(signing, secretKey)]
}

function diagnoseSigning({ keys, algorithm }: Config['signing'], secretKey: string | undefined): Diagnosis[] {
  if (keys.generated) {
    return [
      good('assertions are signed with a key of the gateway’s own, made once in ./var', 'keep ./var when you move'),
    ]
  }
  const texts = keys.keys.map((key) => (key.kind === 'secret' ? key.secret : key.privateKey).reveal())
  const [first, ...others] = keys.keys.map(({ id }) => id)
  const rest = others.length === 0 ? '' : `; ${others.join(', ')} only verify`
  const diagnoses = [good(`the key ${first} signs assertions (${algorithm})${rest}`)]
  if (new Set(texts).size < texts.length) {
    diagnoses.push(warning('two of the keys are the same under different ids', 'make a new one: sessiongate keys new'))
  }
  if (secretKey !== undefined && texts.includes(secretKey)) {
    const advice = 'make a key of its own: sessiongate keys new'
    diagnoses.push(warning('session.secret_key signs assertions too: who learns one has both', advice))
  }
  return diagnoses
}

/** Which peers are believed. That a proxy stands in front cannot be seen from here. */
export function diagnoseTrust({ trustedProxies, listen }: Pick<Config, 'trustedProxies' | 'listen'>): Diagnosis[] {
  if (trustedProxies.length === 0) {
    const isPlain = listen.some(({ tls, httpsPort }) => tls === undefined && httpsPort === undefined)
    return [
      good(
        'nobody is trusted: X-Forwarded-* of every peer is replaced',
        isPlain ? 'if a proxy stands in front, name its address under trusted_proxies' : undefined,
      ),
    ]
  }
  const wide = trustedProxies.filter(isWide)
  if (wide.length > 0) {
    const advice = 'name the addresses of your proxies: whoever is trusted can say which address a visitor has'
    return [warning(`trusted_proxies takes in a large part of the internet: ${wide.join(', ')}`, advice)]
  }
  return [good(`X-Forwarded-* is believed from ${trustedProxies.join(', ')}`)]
}

/** Larger than any network that one owns: 10.0.0.0/8 is the largest of the private ones. */
function isWide(entry: string): boolean {
  const [address = '', prefix] = entry.split('/')
  if (prefix === undefined || /^f[cd]/i.test(address)) return false
  return Number(prefix) < (address.includes(':') ? 24 : 8)
}

/** Cookie domain and hosts; what is wrong within the cookie is told by `check`. */
export function diagnoseCookie(config: Pick<Config, 'session' | 'hosts' | 'routes'>): Diagnosis[] {
  const { name, secure, sameSite, httpOnly, path } = config.session.cookie
  const flags = [
    secure === true ? 'Secure' : secure === 'auto' ? 'Secure on https' : 'without Secure',
    httpOnly ? 'HttpOnly' : 'without HttpOnly',
    sameSite === false ? 'without SameSite' : `SameSite=${sameSite}`,
  ].join(', ')
  return [good(`${name}: ${flags}, path ${path}`), ...diagnoseDomain(config)]
}

function diagnoseDomain(config: Pick<Config, 'session' | 'hosts' | 'routes'>): Diagnosis[] {
  const domain = config.session.cookie.domain?.replace(/^\./, '').toLowerCase()
  if (domain === undefined) return []
  const hosts = servedHosts(config)
  const outside = hosts.filter((host) => host.replace(/^\*\./, '') !== domain && !host.endsWith(`.${domain}`))
  if (hosts.length === 0 || outside.length === 0) return [good(`browsers take it for ${domain} and all below`)]
  const advice = 'take cookie_domain away, or serve these hosts with a file of their own'
  const text = `browsers drop a cookie for ${domain} that comes from ${outside.join(', ')}`
  return [outside.length === hosts.length ? fault(text, advice) : warning(text, advice)]
}

/** The hosts of the file, or those of its routes; none: any. */
export function servedHosts({ hosts, routes }: Pick<Config, 'hosts' | 'routes'>): readonly string[] {
  return hosts.length > 0 ? hosts : [...new Set(routes.flatMap(({ match }) => match.hosts))]
}
