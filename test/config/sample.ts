import { type LoadedConfig, loadConfig } from '../../src/config/loading.ts'
import { ConfigError, type Problem } from '../../src/config/problem.ts'

/** The smallest useful file, without the warnings that it would give. */
export const MINIMAL = `version: 1
hosts: [app.example.com]
session: { cookie_secure: true }
upstreams: { app: { servers: ["http://127.0.0.1:8000"] } }
routes:
  - { id: login, match: { path: [/login, /login/] }, upstream: app, auth: public }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`

/** The minimal file with other sections at the top: each replaces its own. */
export function withSections(...sections: string[]): string {
  const keys = sections.map((section) => section.split(':', 1)[0])
  const [head = '', routes = ''] = MINIMAL.split('routes:\n')
  const rest = head.split('\n').filter((line) => line !== '' && !keys.includes(line.split(':', 1)[0]))
  return [...rest, ...sections, 'routes:', routes].join('\n')
}

/** The minimal file with routes before its own. */
export function withRoutes(...routes: string[]): string {
  return MINIMAL.replace('routes:\n', `routes:\n${routes.map((route) => `  - { ${route} }\n`).join('')}`)
}

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>
  /** The files that `${file:…}` may name, by path. */
  readonly files?: Readonly<Record<string, string>>
  /** Default false, as that of `loadConfig`. */
  readonly checksCertificates?: boolean
}

/** Loads a text as if it stood in `/srv/gate.yaml`, with nothing else around it. */
export async function loadText(
  text: string,
  { env = {}, files = {}, checksCertificates = false }: Surroundings = {},
): Promise<LoadedConfig> {
  const contents: Readonly<Record<string, string>> = { ...files, '/srv/gate.yaml': text }
  return await loadConfig({
    path: 'gate.yaml',
    env,
    checksCertificates,
    workingDirectory: '/srv',
    readFile: async (path) => {
      const content = contents[path]
      if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
      return Buffer.from(content, 'utf8')
    },
  })
}

/** Everything that is wrong with a text or worth knowing about it. */
export async function problemsOf(text: string, surroundings: Surroundings = {}): Promise<readonly Problem[]> {
  try {
    return (await loadText(text, surroundings)).warnings
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

/** The same, errors only. */
export async function errorsOf(text: string, surroundings: Surroundings = {}): Promise<readonly Problem[]> {
  return (await problemsOf(text, surroundings)).filter(({ severity }) => severity === 'error')
}
