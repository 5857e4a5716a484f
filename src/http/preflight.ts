import { isMethodOverride } from './client-headers.ts'
import { headerKey, headerValues, isToken, type RawHeaders } from './headers.ts'

/**
 * The method of the request that a CORS preflight asks leave for; undefined for what is none. A browser sends it by itself,
 * without cookies and credentials (Fetch Standard, section 4.9), so whatever brings any, or names another method in a header
 * of its own, is an ordinary request.
 */
export function announcedMethod(method: string, raw: RawHeaders): string | undefined {
  if (method !== 'OPTIONS') return undefined
  const announced = headerValues(raw, 'access-control-request-method')
  if (announced.length !== 1 || headerValues(raw, 'origin').length !== 1) return undefined
  for (let i = 0; i < raw.length; i += 2) {
    const key = headerKey(raw[i] ?? '')
    if (key === 'cookie' || key === 'authorization' || isMethodOverride(key)) return undefined
  }
  const [name = ''] = announced
  return isToken(name) ? name : undefined
}
