import assert from 'node:assert/strict'
import { jsonText, strictJson } from '../../../src/django/json.ts'
import { type Commands, obeyedCommands, readCommands } from '../../../src/writeback/commands.ts'
import { withoutCommands } from '../../../src/writeback/cut.ts'
import { isOwnHeader, isReservedKey } from '../../../src/writeback/names.ts'
import { compilePermission } from '../../../src/writeback/permission.ts'
import { type FuzzTarget, headerLines, unlessRefused } from '../fuzz-target.ts'

const refusals = ['ERR_WRITEBACK_REFUSED']
const onlyCart = compilePermission({ allow: ['cart'], commands: [] })

/**
 * The head of an app's answer. Commands are read whole or refused; they name no reserved key, hold only JSON that everybody
 * reads, and read as the same when they are written again. None of them is left in what goes to the browser.
 */
export const commandTarget: FuzzTarget = {
  name: 'commands',
  seeds: [
    'X-Session-Set: {"cart":{"n":1},"lang":null}',
    'x-session-set: {"a":1},{"b":[1.0,1e5]}\nX-Session-Delete: cart, "_odd key"',
    'X-Session-Command: flush\nX-Session-Expiry: 300',
    'X-Session-Command: cycle-key, clear',
    'X-Session-Expiry: 2030-01-01T00:00:00+02:00',
    'X-Session-Expiry: default\nX_Session_Set: {}',
    'X-Session-Set: {"a":"\xc3\xa9","b":"\\ud83d\\ude00"}\nContent-Type: text/html',
  ],
  dictionary: [
    'X-Session-Set: ',
    'X-Session-Delete: ',
    'X-Session-Command: ',
    'X-Session-Expiry: ',
    'X_Session-',
    '\n',
    '{"',
    '":',
    '},{',
    'flush',
    'clear',
    'cycle-key',
    'default',
    '__proto__',
    '_gw',
    '_session_expiry',
    ';q=1',
    '(a b)',
    '?1',
    '"\\"',
    '\xff',
    'NaN',
    '1e999',
    '-0',
    '24:00:00Z',
    '0001-01-01T00:00:00Z',
  ],
  check(bytes) {
    const raw = headerLines(bytes.toString('latin1'))
    const { headers } = withoutCommands(raw)
    assert.ok(headers.every((name, at) => at % 2 === 1 || !/^x[^a-z0-9]session[^a-z0-9]/i.test(name)))
    const others = raw.filter((_, at) => !isOwnHeader(raw[at - (at % 2)] ?? ''))
    assert.deepEqual(headers, others)
    assert.equal(obeyedCommands(199, raw), undefined)
    const late = obeyedCommands(500, raw)
    if (late !== undefined) assert.deepEqual(late, obeyedCommands(200, raw))
    const commands = unlessRefused(refusals, () => readCommands(raw))
    if (commands === undefined) return
    checkCommands(commands)
    const allowed = unlessRefused(refusals, () => onlyCart.check(commands) ?? true)
    const keys = [...commands.delete, ...commands.set.keys()]
    const isQuiet = !commands.flush && !commands.clear && !commands.cycleKey && commands.expiry === undefined
    assert.equal(allowed === true, isQuiet && keys.every((key) => key === 'cart'))
  },
}

function checkCommands(commands: Commands): void {
  const keys = [...commands.delete, ...commands.set.keys()]
  assert.ok(keys.length <= 64)
  assert.equal(keys.some(isReservedKey), false)
  for (const [key, text] of commands.set) {
    assert.equal(strictJson(text), text)
    JSON.parse(text)
    assert.equal(typeof key, 'string')
  }
  assert.equal(commands.flush && commands.clear, false)
  if (commands.expiry?.kind === 'date') assert.ok(!Number.isNaN(new Date(commands.expiry.at).getTime()))
  if (commands.expiry?.kind === 'seconds') assert.ok(Number.isSafeInteger(commands.expiry.seconds))
  // Written and read again; a list of RFC 9651 can hold printable ASCII only.
  const set = [...commands.set].map(([key, text]) => `${jsonText(key)}:${text}`).join(',')
  const words = [
    ...(commands.flush ? ['flush'] : []),
    ...(commands.clear ? ['clear'] : []),
    ...(commands.cycleKey ? ['cycle-key'] : []),
  ]
  const deletes = commands.delete.map((key) => `"${key.replace(/["\\]/g, '\\$&')}"`).join(', ')
  const lines = ['X-Session-Set', `{${set}}`, 'X-Session-Delete', deletes]
  if (words.length > 0) lines.push('X-Session-Command', words.join(', '))
  const { expiry } = commands
  if (expiry?.kind === 'default') lines.push('X-Session-Expiry', 'default')
  if (expiry?.kind === 'seconds') lines.push('X-Session-Expiry', String(expiry.seconds))
  if (expiry?.kind === 'date') lines.push('X-Session-Expiry', new Date(expiry.at).toISOString())
  assert.deepEqual(readCommands(lines), commands)
}
