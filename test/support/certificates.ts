import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Certificates {
  /** Paths of the PEM files. */
  readonly files: { readonly ca: string; readonly serverCert: string; readonly serverKey: string }
  /** PEM of the authority that signed both. */
  readonly ca: string
  /** PEM of a client's certificate and key. */
  readonly client: { readonly cert: string; readonly key: string }
}

/** An authority, a server's certificate for `localhost` and 127.0.0.1, and a client's, in that folder, by `openssl`. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const at = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=test-ca')
  await writeFile(at('server.ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
  await writeFile(at('client.ext'), 'extendedKeyUsage=clientAuth\n')
  for (const name of ['server', 'client']) {
    await openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2']
    await openssl('x509', '-req', '-in', `${name}.csr`, ...authority, '-extfile', `${name}.ext`, '-out', `${name}.crt`)
  }
  return {
    files: { ca: at('ca.crt'), serverCert: at('server.crt'), serverKey: at('server.key') },
    ca: await readFile(at('ca.crt'), 'utf8'),
    client: { cert: await readFile(at('client.crt'), 'utf8'), key: await readFile(at('client.key'), 'utf8') },
  }
}

/** A certificate and its key, as PEM. */
export interface Issued {
  readonly cert: string
  readonly key: string
}

export interface IssueOptions {
  /** Names of a server; without any it is a client's certificate. */
  readonly hosts?: readonly string[]
  /** For how many days; below 0 = it has ended already. Default 2. */
  readonly days?: number
}

/** An authority that issues certificates as a test needs them. */
export interface Authority {
  /** PEM. */
  readonly cert: string
  issue(options: IssueOptions): Promise<Issued>
}

/** An authority of its own, with its files in that folder, by `openssl`. */
export async function openAuthority(folder: string, name = 'authority'): Promise<Authority> {
  const at = (file: string) => join(folder, file)
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const [ca, caKey] = [`${name}.crt`, `${name}.key`]
  await openssl('req', '-x509', ...newKey, '-keyout', caKey, '-out', ca, '-days', '2', '-subj', `/CN=${name}`)
  let count = 0
  return {
    cert: await readFile(at(ca), 'utf8'),
    async issue({ hosts = [], days = 2 }) {
      const file = `${name}-${count++}`
      const names = hosts.map((host) => `DNS:${host}`).join(',')
      const extension = hosts.length === 0 ? 'extendedKeyUsage=clientAuth\n' : `subjectAltName=${names}\n`
      await writeFile(at(`${file}.ext`), extension)
      await openssl('req', ...newKey, '-keyout', `${file}.key`, '-out', `${file}.csr`, '-subj', `/CN=${file}`)
      const authority = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', String(days)]
      await openssl(
        'x509',
        '-req',
        '-in',
        `${file}.csr`,
        ...authority,
        '-extfile',
        `${file}.ext`,
        '-out',
        `${file}.crt`,
      )
      return { cert: await readFile(at(`${file}.crt`), 'utf8'), key: await readFile(at(`${file}.key`), 'utf8') }
    },
  }
}
