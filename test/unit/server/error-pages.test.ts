import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileErrorPages, type ErrorPageValues } from '../../../src/server/error-pages.ts'

const values: ErrorPageValues = {
  status: '404',
  title: 'Nothing {{code}}',
  code: 'ERR_ROUTE_NOT_FOUND',
  request_id: '1-2',
  login: '',
  reasons: '',
}

test('a page is filled in, and what was filled in is not looked at again', () => {
  const pages = compileErrorPages(new Map([['default', '<h1>{{status}} {{title}}</h1>{{request_id}} {{ code }}']]))
  assert.equal(pages('ERR_ROUTE_NOT_FOUND', values), '<h1>404 Nothing {{code}}</h1>1-2 {{ code }}')
})

test('the nearest page counts: the code, then the status, then the default', () => {
  const pages = compileErrorPages(
    new Map([
      ['default', 'a'],
      ['403', 'b'],
      ['ERR_CROSS_SITE', 'c'],
    ]),
  )
  assert.equal(pages('ERR_CROSS_SITE', values), 'c')
  assert.equal(pages('ERR_FORBIDDEN', values), 'b')
  assert.equal(pages('ERR_INTERNAL', values), 'a')
})

test('where there is none, there is none', () => {
  assert.equal(compileErrorPages(new Map([['403', 'b']]))('ERR_INTERNAL', values), undefined)
})
