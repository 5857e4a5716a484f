import { resolve } from 'node:path'
import {
  CertificateFlaw,
  type CertificatePair,
  explainValidity,
  readAuthorities,
  readCertificatePair,
} from '../lib/certificate.ts'
import type { EpochMs } from '../lib/clock.ts'
import { errorCodeOf } from '../lib/error-code.ts'
import type { Check, CheckContext } from './checks/context.ts'
import { type FileListenerTls, tlsPlaces } from './listener-tls.ts'
import type { Path } from './path.ts'
import type { FileConfig } from './schema/file.ts'

interface Surroundings {
  readonly readFile: (path: string) => Promise<Uint8Array>
  readonly workingDirectory: string
  readonly now: EpochMs
}

/** A file's text, or the system's word for why there is none. */
type FileText = { readonly text: string } | { readonly code: string }

/** A path in the YAML, and where it stands there. */
interface Named {
  readonly path: Path
  readonly file: string
}

/** Reads the certificate files of all listeners; the check then says which of them no listener could use. */
export async function openCertificateCheck(file: FileConfig, around: Surroundings): Promise<Check> {
  const places = tlsPlaces(file)
  const names = places.flatMap(({ tls }) => namesOf(tls))
  const texts = new Map<string, FileText>()
  for (const name of new Set(names)) texts.set(name, await readText(name, around))
  return (context) => {
    for (const place of places) checkTls(context, { ...place, texts, now: around.now })
  }
}

interface TlsPlace {
  readonly tls: FileListenerTls
  readonly path: Path
  readonly texts: ReadonlyMap<string, FileText>
  readonly now: EpochMs
}

function checkTls(context: CheckContext, { tls, path, texts, now }: TlsPlace): void {
  const textOf = (named: Named): string | undefined => textOrError(context, named, texts)
  for (const { pair, place } of pairsOf(tls, path)) {
    const named = {
      cert: { path: [...place, 'cert'], file: pair.cert },
      key: { path: [...place, 'key'], file: pair.key },
    }
    const [cert, key] = [textOf(named.cert), textOf(named.key)]
    if (cert === undefined || key === undefined) continue
    const read = attempt(context, { ...named, client_ca: named.cert }, () => readCertificatePair(cert, key))
    if (read !== undefined) warnOfValidity(context, named.cert, { read, now })
  }
  if (tls.client_ca === undefined) return
  const authorities = { path: [...path, 'client_ca'], file: tls.client_ca }
  const text = textOf(authorities)
  if (text === undefined) return
  attempt(context, { cert: authorities, key: authorities, client_ca: authorities }, () => readAuthorities(text))
}

/** What was read; a flaw is told at the file that has it. */
function attempt<T>(
  context: CheckContext,
  places: Readonly<Record<CertificateFlaw['part'], Named>>,
  read: () => T,
): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof CertificateFlaw)) throw error
    const { path, file } = places[error.part]
    context.error(path, { message: `${context.quote(path, file)} ${error.message}`, hint: error.hint })
    return undefined
  }
}

/** No error: a gateway that did not start because of the date would take down what else it serves. */
function warnOfValidity(
  context: CheckContext,
  { path, file }: Named,
  { read, now }: { read: CertificatePair; now: EpochMs },
): void {
  const flaw = explainValidity(read, now)
  if (flaw === undefined) return
  context.warn(path, {
    message: `the certificate in ${context.quote(path, file)} ${flaw}`,
    hint: 'have it renewed: no browser takes it, and a running gateway would keep the one before',
  })
}

function textOrError(
  context: CheckContext,
  { path, file }: Named,
  texts: ReadonlyMap<string, FileText>,
): string | undefined {
  const found = texts.get(file)
  if (found === undefined || context.isUnsure(path)) return undefined
  if ('text' in found) return found.text
  const hint =
    found.code === 'EACCES' ? 'let the user that runs the gateway read it' : 'create the file, or correct its path'
  context.error(path, { message: `the file ${context.quote(path, file)} cannot be read (${found.code})`, hint })
  return undefined
}

function pairsOf(tls: FileListenerTls, path: Path): { pair: { cert: string; key: string }; place: Path }[] {
  const others = tls.certificates.map((pair, at) => ({ pair, place: [...path, 'certificates', at] }))
  return [{ pair: tls, place: path }, ...others]
}

function namesOf(tls: FileListenerTls): string[] {
  const pairs = [tls, ...tls.certificates].flatMap(({ cert, key }) => [cert, key])
  return tls.client_ca === undefined ? pairs : [...pairs, tls.client_ca]
}

async function readText(name: string, { readFile, workingDirectory }: Surroundings): Promise<FileText> {
  try {
    return { text: Buffer.from(await readFile(resolve(workingDirectory, name))).toString('utf8') }
  } catch (error) {
    return { code: errorCodeOf(error) }
  }
}
