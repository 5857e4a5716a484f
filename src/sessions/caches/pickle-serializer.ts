import { parseSessionPickle, pickleSession } from '../../django/pickle/session-pickle.ts'
import type { SessionSerializer } from '../engines/cache.ts'

/** `pickle.dumps(None, protocol=5)`. */
const pickledNone = Buffer.from([0x80, 0x05, 0x4e, 0x2e])

/**
 * Sessions as Python's pickle, which is what Django's caches write unless their settings name a serializer: RedisCache,
 * PyMemcacheCache, django-redis. Plain data only; nothing in a value can run code here. A marker is a pickled `None` with
 * the nonce behind it, where Python has stopped reading.
 */
export const pickleSerializer: SessionSerializer = {
  encode: pickleSession,
  decode: parseSessionPickle,
  marker: (nonce) => Buffer.concat([pickledNone, nonce]),
  isMarker: (bytes) => pickledNone.equals(bytes.subarray(0, pickledNone.length)),
}
