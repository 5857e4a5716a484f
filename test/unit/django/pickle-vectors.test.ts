import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseSessionData, type SessionData, writeSessionData } from '../../../src/django/json.ts'
import { parseSessionPickle, pickleSession } from '../../../src/django/pickle/session-pickle.ts'
import { djangoRows, plainRows, refusedRows, sessionRows } from './pickle-corpus.ts'

function sessionOf(json: string): SessionData {
  const data = parseSessionData(json)
  assert.ok(data, json)
  return data
}

function readHex(hex: string): string | undefined {
  const data = parseSessionPickle(Buffer.from(hex, 'hex'))
  return data && writeSessionData(data)
}

describe("Django's own pickles", () => {
  const rows = djangoRows()

  test('are read as what they hold, to the last digit', () => {
    assert.equal(rows.length, 73)
    for (const { json, pickle5_hex: protocol5, pickle2_hex: protocol2 } of rows) {
      assert.equal(readHex(protocol5), json)
      assert.equal(readHex(protocol2), json)
    }
  })

  test('67 of 73 are written byte for byte; in the others keys that are equal were not one in the memory of Django', () => {
    const others = rows.filter(({ json, pickle5_hex: hex }) => pickleSession(sessionOf(json)).toString('hex') !== hex)
    assert.deepEqual(
      others.map(({ json }) => rows.findIndex((row) => row.json === json)),
      [27, 32, 34, 38, 45, 52],
    )
    for (const { json, pickle5_hex: hex } of others) {
      const ours = pickleSession(sessionOf(json))
      assert.ok(ours.length < hex.length / 2, 'we refer to the key where Django wrote it again')
      assert.equal(readHex(ours.toString('hex')), json)
    }
  })
})

test('what json.loads has made is pickled byte for byte, and read from every protocol', () => {
  for (const row of sessionRows()) {
    assert.equal(pickleSession(sessionOf(row.json)).toString('hex'), row.pickle5, row.json)
    const read = readHex(row.pickle5)
    assert.ok(read !== undefined, row.json)
    assert.equal(pickleSession(sessionOf(read)).toString('hex'), row.pickle5)
    assert.deepEqual([row.pickle2, row.pickle3, row.pickle4].map(readHex), [read, read, read])
  }
})

test('plain data is read in every spelling that Python reads', () => {
  for (const { why, json, hex } of plainRows()) assert.equal(readHex(hex), json, why)
})

test('nothing is read from what is no session: code, objects, what JSON has no form for, what is broken', () => {
  const read = refusedRows().filter(({ hex }) => parseSessionPickle(Buffer.from(hex, 'hex')) !== undefined)
  assert.deepEqual(
    read.map(({ why }) => why),
    [],
  )
})

test('there are hundreds of each', () => {
  assert.ok(sessionRows().length > 100 && plainRows().length > 100 && refusedRows().length > 400)
})
