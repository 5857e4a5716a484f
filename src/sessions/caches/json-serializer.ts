import { parseSessionData, writeSessionData } from '../../django/json.ts'
import type { SessionSerializer } from '../engines/cache.ts'

/** Sessions as compact ASCII JSON, as a cache's JSON serializer in Django writes them. */
export const jsonSerializer: SessionSerializer = {
  encode: (data) => Buffer.from(writeSessionData(data), 'latin1'),
  decode: (bytes) => parseSessionData(Buffer.from(bytes).toString('utf8')),
}
