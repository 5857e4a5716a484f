import type { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Config } from '../../config/config.ts'
import { explainValidity, readAuthorities, readCertificatePair } from '../../lib/certificate.ts'
import type { EpochMs } from '../../lib/clock.ts'
import { type Diagnosis, fault, good, warning } from '../../lib/diagnosis.ts'
import { servedHosts } from './configuration.ts'

const DAY_MS = 86_400_000
const SOON_DAYS = 14

/** The certificates of the listeners and those that apps and their servers are known by: their ends, keys, names. */
export async function diagnoseCertificates(config: Config, now: EpochMs): Promise<Diagnosis[]> {
  const found: Diagnosis[] = []
  const leaves: X509Certificate[] = []
  for (const { certFile, keyFile, name } of config.listen.flatMap(({ tls }) => tls?.certificates ?? [])) {
    const { leaf } = readCertificatePair(await readFile(certFile, 'utf8'), await readFile(keyFile, 'utf8'))
    leaves.push(leaf)
    found.push(diagnoseEnd(name, leaf, now))
  }
  if (leaves.length > 0) found.push(...diagnoseNames(leaves, servedHosts(config)))
  const authorities = config.listen.flatMap(({ tls }) => tls?.clientCa ?? [])
  for (const { file, name } of authorities) found.push(...(await diagnoseAuthorities(name, file, now)))
  for (const { name, tls } of config.upstreams.values()) {
    const place = `upstreams.${name}.tls`
    if (tls?.caFile !== undefined) found.push(...(await diagnoseAuthorities(`${place}.ca`, tls.caFile, now)))
    if (tls?.certFile === undefined || tls.keyFile === undefined) continue
    const pair = readCertificatePair(await readFile(tls.certFile, 'utf8'), await readFile(tls.keyFile, 'utf8'))
    found.push(diagnoseEnd(`${place}.cert`, pair.leaf, now))
  }
  return found.length > 0 ? found : [good('there are none: TLS is ended elsewhere, or not used')]
}

/** How long it is good for. */
export function diagnoseEnd(name: string, leaf: X509Certificate, now: EpochMs): Diagnosis {
  const flaw = explainValidity({ leaf }, now)
  if (flaw !== undefined) return fault(`${name} ${flaw}`, 'have it renewed')
  const days = Math.floor((leaf.validToDate.getTime() - now) / DAY_MS)
  const text = `${name} is good for ${days} more day${days === 1 ? '' : 's'}`
  return days < SOON_DAYS ? warning(text, 'have it renewed; a running gateway takes the new one by itself') : good(text)
}

/** Are there certificates for all hosts? A pattern is asked for by a name that it covers. */
export function diagnoseNames(leaves: readonly X509Certificate[], hosts: readonly string[]): Diagnosis[] {
  const bare = hosts.filter((host) => {
    const name = host.replace(/^\*\./, 'any.').replace(/^\[|\]$/g, '')
    return !leaves.some((leaf) => (isIP(name) === 0 ? leaf.checkHost(name) : leaf.checkIP(name)) !== undefined)
  })
  if (bare.length === 0)
    return [good(hosts.length === 0 ? 'no host is named that they should cover' : 'they cover all hosts')]
  return [warning(`no certificate is for ${bare.join(', ')}`, 'have one made with these names, under tls.certificates')]
}

async function diagnoseAuthorities(name: string, file: string, now: EpochMs): Promise<Diagnosis[]> {
  return readAuthorities(await readFile(file, 'utf8')).map((leaf) => diagnoseEnd(name, leaf, now))
}
