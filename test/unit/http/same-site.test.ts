import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCrossSite, isFromOwnPage, isSameOrigin, parseOrigin } from '../../../src/http/same-site.ts'

const own = 'https://app.example'

const requests: [why: string, method: string, raw: string[], isCross: boolean][] = [
  ['safe methods change nothing', 'GET', ['Sec-Fetch-Site', 'cross-site', 'Origin', 'https://evil'], false],
  ['nor do these', 'HEAD', ['Sec-Fetch-Site', 'cross-site'], false],
  ['nor do these', 'OPTIONS', ['Origin', 'https://evil'], false],
  ['cross-site', 'POST', ['Sec-Fetch-Site', 'cross-site'], true],
  ['cross-site though the Origin is ours', 'POST', ['Sec-Fetch-Site', 'cross-site', 'Origin', own], true],
  ['same-origin', 'POST', ['Sec-Fetch-Site', 'same-origin'], false],
  ['same-site', 'POST', ['Sec-Fetch-Site', 'same-site', 'Origin', 'https://other.example'], false],
  ['typed by the user', 'POST', ['Sec-Fetch-Site', 'none'], false],
  ['a value nobody defined', 'POST', ['Sec-Fetch-Site', 'maybe'], true],
  ['an empty value', 'POST', ['Sec-Fetch-Site', ''], true],
  ['two values, one of them bad', 'POST', ['Sec-Fetch-Site', 'none', 'Sec-Fetch-Site', 'cross-site'], true],
  ['the own origin', 'POST', ['Origin', own], false],
  ['the own origin with its default port', 'POST', ['Origin', 'https://app.example:443'], false],
  ['another scheme', 'POST', ['Origin', 'http://app.example'], true],
  ['another port', 'POST', ['Origin', 'https://app.example:8443'], true],
  ['a longer name', 'POST', ['Origin', 'https://app.example.evil'], true],
  ['userinfo', 'POST', ['Origin', 'https://app.example@evil'], true],
  ['null', 'POST', ['Origin', 'null'], true],
  ['empty', 'POST', ['Origin', ''], true],
  ['no origin', 'POST', ['Origin', 'app.example'], true],
  ['two origins', 'POST', ['Origin', own, 'Origin', 'https://evil'], true],
  ['no browser', 'POST', [], false],
  ['every other method counts as a change', 'PROPPATCH', ['Origin', 'https://evil'], true],
]
for (const [why, method, raw, isCross] of requests) {
  test(`${method} ${JSON.stringify(raw)} is ${isCross ? '' : 'not '}cross-site: ${why}`, () => {
    assert.equal(isCrossSite(method, raw, own), isCross)
  })
}

const pages: [why: string, raw: string[], isOwn: boolean][] = [
  ['the browser says so', ['Sec-Fetch-Site', 'same-origin'], true],
  [
    'what a browser says of the page outranks an origin that it hides',
    ['Sec-Fetch-Site', 'same-origin', 'Origin', 'null'],
    true,
  ],
  ['a sibling host', ['Sec-Fetch-Site', 'same-site', 'Origin', own], false],
  ['another site', ['Sec-Fetch-Site', 'cross-site', 'Origin', own], false],
  ['no page', ['Sec-Fetch-Site', 'none'], false],
  ['two values', ['Sec-Fetch-Site', 'same-origin', 'Sec-Fetch-Site', 'cross-site'], false],
  ['an older browser', ['Origin', own], true],
  ['an older browser, elsewhere', ['Origin', 'https://evil'], false],
  ['another port', ['Origin', 'https://app.example:8443'], false],
  ['null', ['Origin', 'null'], false],
  ['two origins', ['Origin', own, 'Origin', own], false],
  ['nobody says anything', [], false],
]
for (const [why, raw, isOwn] of pages) {
  test(`${JSON.stringify(raw)} is ${isOwn ? '' : 'not '}from an own page: ${why}`, () => {
    assert.equal(isFromOwnPage(raw, own), isOwn)
  })
}

test('an own origin that cannot be read makes everything foreign, also what cannot be read either', () => {
  assert.equal(isCrossSite('POST', ['Origin', 'null'], 'nonsense'), true)
  assert.equal(isSameOrigin(['nonsense'], { own: 'nonsense', allowed: ['nonsense'] }), false)
})

const handshakes: [why: string, origins: string[], allowed: string[], isOurs: boolean][] = [
  ['no page behind it', [], [], true],
  ['the own origin', [own], [], true],
  ['capitals', ['HTTPS://APP.example'], [], true],
  ['a foreign one', ['https://evil'], [], false],
  ['a foreign one beside others allowed', ['https://evil'], ['https://other.example'], false],
  ['an allowed one', ['https://other.example'], ['https://other.example'], true],
  ['allowed with a default port', ['https://other.example'], ['https://other.example:443'], true],
  ['the scheme counts', ['http://other.example'], ['https://other.example'], false],
  ['a longer name', ['https://other.example.evil'], ['https://other.example'], false],
  ['a name before it', ['https://evilother.example'], ['https://other.example'], false],
  ['null', ['null'], ['null'], false],
  ['an empty entry allows nothing', [''], [''], false],
  ['two origins', [own, own], [], false],
  ['a list', [`${own} https://evil`], [], false],
  ['a path', [`${own}/`], [], false],
  ['an app on a phone', ['capacitor://localhost'], ['capacitor://localhost'], true],
  ['an app on a phone that nobody allowed', ['capacitor://localhost'], [], false],
]
for (const [why, origins, allowed, isOurs] of handshakes) {
  test(`a handshake from ${JSON.stringify(origins)} is ${isOurs ? '' : 'not '}admitted: ${why}`, () => {
    assert.equal(isSameOrigin(origins, { own, allowed }), isOurs)
  })
}

const origins: [text: string, origin: string | undefined][] = [
  ['https://A.example:443', 'https://a.example'],
  ['http://[::1]:8080', 'http://[::1]:8080'],
  ['https://a.example/x', undefined],
  ['https://a.example?x', undefined],
  ['https://a@b', undefined],
  ['https://a\\b', undefined],
  ['https://%61', undefined],
  ['https://', undefined],
  ['data:text/html', undefined],
  ['https://a:99999', undefined],
]
for (const [text, origin] of origins) {
  test(`the origin ${text}`, () => assert.equal(parseOrigin(text), origin))
}
