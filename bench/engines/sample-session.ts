import { parseSessionData, type SessionData } from '../../src/django/json.ts'

/** What `npm run bench -- engines` stores. */
export const SESSION_BYTES = 1024

/** A shop's session of about so many bytes of JSON: what Django keeps in it, a user, and a cart as long as it takes. */
export function sampleSession(sizeBytes: number): SessionData {
  const head =
    '{"_auth_user_id":"42","_auth_user_backend":"django.contrib.auth.backends.ModelBackend","_auth_user_hash":"' +
    `${'0123456789abcdef'.repeat(4)}","_gw":{"created":1764000000},"userInfo":{"id":42,"name":"Zo\\u00eb"},"cart":[`
  const lines: string[] = []
  for (let length = head.length, i = 0; length < sizeBytes; i++) {
    const line = `{"sku":"A-${1000 + i}","title":"A thing with number ${i}","qty":${i % 7},"price":${i}.25,"gift":false}`
    lines.push(line)
    length += line.length + 1
  }
  const data = parseSessionData(`${head}${lines.join(',')}]}`)
  if (data === undefined) throw new TypeError('the sample is not a session')
  return data
}
