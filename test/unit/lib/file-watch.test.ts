import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { openFileWatch } from '../../../src/lib/file-watch.ts'
import { until } from '../../support/deadline.ts'

/** So seldom that what is seen was reported by the system. */
const NEVER_MS = 3_600_000

describe('a watch on files', () => {
  let folder: string
  let changes: number
  const at = (name: string): string => join(folder, name)
  const onChange = (): void => {
    changes += 1
  }
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-watch-'))
    changes = 0
    await writeFile(at('a'), 'one')
  })
  afterEach(() => rm(folder, { recursive: true }))

  const kinds: [what: string, change: () => Promise<void>][] = [
    ['a file that is written to', () => writeFile(at('a'), 'two')],
    [
      'a file that is put in its place',
      async () => {
        await writeFile(at('new'), 'two')
        await rename(at('new'), at('a'))
      },
    ],
    ['a file that is gone', () => unlink(at('a'))],
  ]
  for (const [what, change] of kinds) {
    test(`hears of ${what}`, async () => {
      await using _watch = await openFileWatch({ paths: [at('a')], onChange, pollMs: NEVER_MS, settleMs: 1 })
      await change()
      await until('the change is told', () => changes > 0)
    })
  }

  test('hears of a volume of Kubernetes that swaps its link', async () => {
    await mkdir(at('..1'))
    await mkdir(at('..2'))
    await writeFile(at('..1/tls.crt'), 'one')
    await writeFile(at('..2/tls.crt'), 'two')
    await symlink('..1', at('..data'))
    await symlink('..data/tls.crt', at('tls.crt'))
    await using _watch = await openFileWatch({ paths: [at('tls.crt')], onChange, pollMs: NEVER_MS, settleMs: 1 })
    await symlink('..2', at('..data_tmp'))
    await rename(at('..data_tmp'), at('..data'))
    await until('the swap is told', () => changes === 1)
  })

  test('sees by looking what is written behind a link to another folder, and a folder that comes later', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'sessiongate-watch-'))
    try {
      await writeFile(join(elsewhere, 'real'), 'one')
      await symlink(join(elsewhere, 'real'), at('link'))
      const paths = [at('link'), at('later/file')]
      await using _watch = await openFileWatch({ paths, onChange, pollMs: 5, settleMs: 1 })
      await writeFile(join(elsewhere, 'real'), 'other')
      await until('the first change is seen', () => changes >= 1)
      const before = changes
      await mkdir(at('later'))
      await writeFile(at('later/file'), 'new')
      await until('the second change is seen', () => changes > before)
    } finally {
      await rm(elsewhere, { recursive: true })
    }
  })

  test('tells nothing of its neighbours, nothing twice at a time, and nothing after its end', async () => {
    let running = 0
    const { promise: mayEnd, resolve } = Promise.withResolvers<void>()
    async function slow(): Promise<void> {
      changes += 1
      running += 1
      assert.equal(running, 1)
      await mayEnd
      running -= 1
    }
    const watch = await openFileWatch({ paths: [at('a')], onChange: slow, pollMs: 1, settleMs: 1 })
    await writeFile(at('neighbour'), 'new')
    await writeFile(at('a'), 'two')
    await until('the first change is told', () => changes === 1)
    await writeFile(at('a'), 'three!')
    assert.equal(changes, 1)
    resolve()
    await until('the second change is told', () => changes === 2)
    await watch[Symbol.asyncDispose]()
    await writeFile(at('a'), 'four')
    assert.deepEqual([changes, running], [2, 0])
  })
})
