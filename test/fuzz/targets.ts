import type { FuzzTarget } from './fuzz-target.ts'
import { commandTarget } from './targets/commands.ts'
import { cookieTarget } from './targets/cookies.ts'
import { forwardedTarget } from './targets/forwarded.ts'
import { hostTarget } from './targets/host.ts'
import { pathTarget } from './targets/paths.ts'
import { pickleTarget } from './targets/pickles.ts'
import { proxyHeaderTarget } from './targets/proxy-headers.ts'
import { redirectTarget } from './targets/redirects.ts'
import { responseTarget } from './targets/responses.ts'
import { sessionTarget } from './targets/sessions.ts'
import { yamlTarget } from './targets/yaml.ts'

export const fuzzTargets: readonly FuzzTarget[] = [
  pathTarget,
  hostTarget,
  cookieTarget,
  forwardedTarget,
  redirectTarget,
  proxyHeaderTarget,
  sessionTarget,
  pickleTarget,
  commandTarget,
  responseTarget,
  yamlTarget,
]
