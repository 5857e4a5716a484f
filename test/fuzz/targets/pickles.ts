import assert from 'node:assert/strict'
import { parseSessionData, writeSessionData } from '../../../src/django/json.ts'
import * as opcodes from '../../../src/django/pickle/opcodes.ts'
import { parseSessionPickle, pickleSession } from '../../../src/django/pickle/session-pickle.ts'
import type { FuzzTarget } from '../fuzz-target.ts'

/** Opcodes with which Python imports, calls or builds: GLOBAL, REDUCE, BUILD, INST, OBJ, NEWOBJ, STACK_GLOBAL, the extensions. */
const running = 'cRbio\x81\x92\x93\x82\x83\x84PQ'

/**
 * Pickles in a cache. Read or refused, never run: what is read is plain data that is pickled and read again as the same,
 * and as JSON too.
 */
export const pickleTarget: FuzzTarget = {
  name: 'pickles',
  seeds: [
    '\x80\x05}.',
    '\x80\x05}\x94\x8c\x01a\x94K\x01s.',
    '\x80\x04\x95\x16\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94]\x94(K\x01\x88Ne\x8c\x01b\x94Nu.',
    '\x80\x02}q\0(X\x01\0\0\0aq\x01G?\xf0\0\0\0\0\0\0X\x01\0\0\0bq\x02\x8a\x02\xff\x7fu.',
    '\x80\x05}\x8c\x01a(K\x01M\0\x01J\xff\xff\xff\xfft\x94s.',
    '\x80\x05cos\nsystem\n\x8c\x02id\x85R.',
    '\x80\x05}\x94\x8c\x01ah\0s.',
  ],
  dictionary: [
    ...Object.values(opcodes).map((code) => String.fromCharCode(code)),
    ...running,
    '\x8c\x01k',
    'K\x01',
    ']\x94',
    '}\x94',
    '\x80\x05',
  ],
  check(bytes) {
    const data = parseSessionPickle(bytes)
    if (data === undefined) return
    assert.deepEqual(parseSessionPickle(pickleSession(data)), data)
    assert.deepEqual(parseSessionData(writeSessionData(data)), data)
    assert.deepEqual(parseSessionPickle(Buffer.concat([bytes, Buffer.from('cos\nsystem\n')])), data)
  },
}
