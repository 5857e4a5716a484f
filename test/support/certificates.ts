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
