import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  draftForApp,
  hasPassword,
  parseAppAddress,
  parseLoginPage,
  parseStore,
} from '../../../../src/cli/init/plain.ts'
import { config, loaded, secrets, yamlOf } from './draft-loading.ts'

describe('a draft for any app', () => {
  const draftOf = (store: string, app = 'http://127.0.0.1:9000') => {
    const answer = parseStore(store) ?? assert.fail(store)
    const hosts = ['localhost']
    return draftForApp({ app, login: '/login', store: answer, hosts, listen: '127.0.0.1:8080', config, secrets })
  }

  test('loads with every store, and no password stands in the YAML', async () => {
    const stores: [store: string, engine: string][] = [
      ['sqlite', 'db'],
      ['sqlite:./x.sqlite3', 'db'],
      ['redis', 'cache'],
      ['rediss://u:secret!@r.internal:6379/2', 'cache'],
      ['unix:///run/redis.sock?db=1', 'cache'],
      ['postgres://u:secret!@db/shop', 'db'],
      ['postgres://u@db/shop', 'db'],
    ]
    for (const [store, engine] of stores) {
      const draft = draftOf(store)
      const { session } = await loaded(draft)
      assert.equal(session.engine.kind, engine, store)
      assert.ok(!yamlOf(draft).includes('secret!'), store)
    }
  })

  test('two of them have different keys', () => {
    const keys = [1, 2].flatMap(() =>
      draftOf('redis').files.flatMap(({ kind, text }) => (kind === 'key' ? [text] : [])),
    )
    assert.equal(new Set(keys).size, 4)
  })

  test('answers are addresses, pages and stores, or none', () => {
    assert.deepEqual(['127.0.0.1:80', 'http://app:8000/', 'https://app', 'unix:/run/x.sock'].map(parseAppAddress), [
      ...['http://127.0.0.1', 'http://app:8000', 'https://app', 'unix:/run/x.sock'],
    ])
    assert.deepEqual(['app', 'ftp://x', 'http://x/path', ''].map(parseAppAddress), Array(4).fill(undefined))
    assert.deepEqual(['/login', '/a/b?c=d', 'https://id.example/'].map(parseLoginPage), [
      '/login',
      '/a/b?c=d',
      'https://id.example/',
    ])
    assert.deepEqual(
      ['login', '//evil', '/a b', '/\\x', 'javascript:1', 'https://u@x/'].map(parseLoginPage),
      Array(6).fill(undefined),
    )
    assert.deepEqual(['mysql://x/y', 'files', 'sqlite://x'].map(parseStore), Array(3).fill(undefined))
    assert.deepEqual(['redis://:x@h', 'postgres://u:p@h/d', 'redis://h', 'postgres://u@h/d'].map(hasPassword), [
      true,
      true,
      false,
      false,
    ])
  })
})
