import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPageNavigation } from '../../../src/http/navigation.ts'

const chrome = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'

const cases: [why: string, method: string, raw: string[], isPage: boolean][] = [
  ['a browser', 'GET', ['Sec-Fetch-Mode', 'navigate', 'Accept', chrome], true],
  ['a form', 'POST', ['Sec-Fetch-Mode', 'navigate', 'Accept', chrome], true],
  ['Upgrade comes first', 'GET', ['Upgrade', 'websocket', 'Sec-Fetch-Mode', 'navigate', 'Accept', chrome], false],
  ['a script that asks for HTML', 'GET', ['Sec-Fetch-Mode', 'cors', 'Accept', 'text/html'], false],
  ['same-origin is no navigation', 'GET', ['Sec-Fetch-Mode', 'same-origin', 'Accept', chrome], false],
  ['an image', 'GET', ['Sec-Fetch-Mode', 'no-cors'], false],
  ['an unknown mode', 'GET', ['Sec-Fetch-Mode', '', 'Accept', chrome], false],
  [
    'the mode outranks X-Requested-With',
    'GET',
    ['Sec-Fetch-Mode', 'navigate', 'X-Requested-With', 'XMLHttpRequest'],
    true,
  ],
  ['jQuery', 'GET', ['X-Requested-With', 'XMLHttpRequest', 'Accept', 'text/html'], false],
  ['jQuery has no case', 'GET', ['x-requested-with', 'xmlhttprequest'], false],
  ['an Android app names itself there', 'GET', ['X-Requested-With', 'com.example', 'Accept', chrome], true],
  ['an old browser', 'GET', ['Accept', chrome], true],
  ['an old browser with a form', 'POST', ['Accept', chrome], true],
  ['media types have no case', 'GET', ['Accept', 'TEXT/HTML'], true],
  ['a parameter', 'GET', ['Accept', 'text/html;level=1;q=0.5'], true],
  ['a small weight', 'GET', ['Accept', 'text/html;q=0.001'], true],
  ['weight zero', 'GET', ['Accept', 'text/html;q=0, application/json'], false],
  ['weight zero in three digits', 'GET', ['Accept', 'application/json, text/html ; q=0.000'], false],
  ['one of two is wanted', 'GET', ['Accept', 'text/html;q=0, text/html;level=1'], true],
  ['a malformed weight asks for nothing', 'GET', ['Accept', 'text/html;q=1.5'], false],
  ['a negative weight', 'GET', ['Accept', 'text/html;q=-1'], false],
  ['over several lines', 'POST', ['Accept', 'application/json', 'Accept', 'text/html'], true],
  ['XHTML is another type', 'GET', ['Accept', 'application/xhtml+xml'], false],
  ['a range of texts does not name it', 'GET', ['Accept', 'text/*'], false],
  ['JSON', 'GET', ['Accept', 'application/json'], false],
  ['JSON with anything', 'GET', ['Accept', 'application/json, */*'], false],
  ['curl', 'GET', ['Accept', '*/*'], true],
  ['anything with a weight', 'GET', ['Accept', '*/*;q=0.1'], true],
  ['anything but not at all', 'GET', ['Accept', '*/*;q=0'], false],
  ['curl with HEAD', 'HEAD', ['Accept', '*/*'], true],
  ['curl with POST', 'POST', ['Accept', '*/*'], false],
  ['no Accept', 'GET', [], true],
  ['an empty Accept', 'GET', ['Accept', ''], true],
  ['no Accept with POST', 'POST', [], false],
  ['no Accept with DELETE', 'DELETE', [], false],
]
for (const [why, method, raw, isPage] of cases) {
  test(`${method} ${JSON.stringify(raw)} is ${isPage ? '' : 'not '}a page navigation: ${why}`, () => {
    assert.equal(isPageNavigation(method, raw), isPage)
  })
}
