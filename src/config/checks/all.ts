import { checkAccess } from './access.ts'
import { checkCaches } from './caches.ts'
import type { Check } from './context.ts'
import { checkCookie } from './cookie.ts'
import { warnOfExposure } from './exposure.ts'
import { checkHeaders } from './headers.ts'
import { checkKeepPost } from './keep-post.ts'
import { checkListeners } from './listeners.ts'
import { checkLocalCache } from './local-cache.ts'
import { checkLogin } from './login.ts'
import { checkPatterns } from './patterns.ts'
import { checkReachability } from './reachability.ts'
import { checkReferences } from './references.ts'
import { checkRewrites } from './rewrites.ts'
import { checkSecrets } from './secrets.ts'
import { checkStorage } from './storage.ts'
import { warnOfStores } from './transport.ts'
import { checkUpstreams } from './upstreams.ts'
import { checkUserIndex } from './user-index.ts'

/** Every check. They are independent of each other; the order of what they find is that of the file. */
export const checks: readonly Check[] = [
  checkListeners,
  checkReferences,
  checkPatterns,
  checkCookie,
  checkSecrets,
  checkStorage,
  checkUserIndex,
  checkLocalCache,
  checkCaches,
  checkUpstreams,
  checkAccess,
  checkHeaders,
  checkReachability,
  checkRewrites,
  checkLogin,
  checkKeepPost,
  warnOfExposure,
  warnOfStores,
]
