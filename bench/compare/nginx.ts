import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireServer } from '../../test/support/requirement.ts'
import { type Program, startProgram } from './program.ts'

export interface NginxOptions {
  readonly folder: string
  /** What its files are called. */
  readonly name: string
  readonly port: number
  /** Lines inside `http { … }`. */
  readonly http: string
  /** Lines outside of it, such as `load_module`. */
  readonly main?: string
}

/**
 * Where nginx may write: its distribution's folders belong to somebody else. What it is asked for must be within what a
 * hundred million requests on one connection allow, or it closes one in the midst of a round.
 */
function configOf({ folder, name, http, main = '' }: NginxOptions): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${join(folder, `${name}-${kind}`)};`,
  )
  return `
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
daemon off;
pid ${join(folder, `${name}.pid`)};
error_log ${join(folder, `${name}.errors`)} warn;
${main}
events { worker_connections 4096; }
http {
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  ${temporary.join('\n  ')}
  ${http}
}
`
}

/** One worker, in the foreground; resolves when it listens. */
export async function startNginx(options: NginxOptions): Promise<Program> {
  const { folder, name, port } = options
  const file = join(folder, `${name}.conf`)
  await writeFile(file, configOf(options))
  const { path } = requireServer('nginx')
  const program = startProgram(path, ['-c', file, '-p', folder, '-e', join(folder, `${name}.errors`)], { folder, name })
  await program.untilListening(port)
  return program
}

/** Files of `x` that nginx gives out: the path below the folder, and their size. */
export async function writeBodies(folder: string, sizes: Readonly<Record<string, number>>): Promise<void> {
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o755)
  for (const [name, bytes] of Object.entries(sizes)) await writeFile(join(folder, name), Buffer.alloc(bytes, 'x'))
}
