import { html } from './html.mjs'

/** What is for sale: id, name, what one reads about it, price in cents, colour of the cup. */
export const teas = new Map([
  ['sencha', { name: 'Sencha', note: 'Green, fresh, a little grassy', cents: 450, cup: '#9dbb53' }],
  ['oolong', { name: 'Oolong', note: 'Half-way between green and black', cents: 620, cup: '#c98f3c' }],
  ['assam', { name: 'Assam', note: 'Black, malty, takes milk', cents: 380, cup: '#a4512a' }],
  ['rooibos', { name: 'Rooibos', note: 'Red, sweet, no caffeine', cents: 350, cup: '#c0412f' }],
])

export function loginPage({ next, name = '', problem }) {
  return page({
    title: 'Log in',
    body: html`
    <main class="narrow">
      <h1>Log in</h1>
      <p class="lead">This page belongs to the app. Any name will do, and any password.</p>
      <form class="card stack" method="post" action="/login?next=${encodeURIComponent(next)}">
        ${problem && html`<p class="problem" id="problem" role="alert">${problem}</p>`}
        <label for="name">Name</label>
        <input id="name" name="name" value="${name}" maxlength="80" required
          autocomplete="username" autocapitalize="words" spellcheck="false"
          ${problem && html`aria-invalid="true" aria-describedby="problem"`}>
        <label for="password">Password</label>
        <input id="password" name="password" type="password" required autocomplete="current-password">
        <button class="primary" type="submit">Log in</button>
      </form>
    </main>`,
  })
}

export function shopPage({ name, cart, claims, headers }) {
  return page({
    title: 'The tea shop',
    name,
    body: html`
    <main>
      <h1>Hello, ${name}.</h1>
      <p class="lead">This app keeps no sessions. It reads who you are from a header that the gateway has signed.</p>
      <div class="columns">
        <section class="card" aria-labelledby="teas">
          <h2 id="teas">Teas</h2>
          <ul class="rows teas">${[...teas].map(teaRow)}</ul>
        </section>
        <section class="card" aria-labelledby="cart">
          <h2 id="cart">Your cart</h2>
          ${cart.size === 0 ? html`<p class="empty">Nothing in it yet.</p>` : cartRows(cart)}
        </section>
      </div>
      <details class="card">
        <summary>What the gateway told this app</summary>
        <h2>Claims of <code>X-Session-Assertion</code>, verified</h2>
        <pre tabindex="0" aria-label="Claims">${JSON.stringify(claims, null, 2)}</pre>
        <h2>Headers that it vouches for</h2>
        <pre tabindex="0" aria-label="Headers">${Object.entries(headers).map((line) => `${line.join(': ')}\n`)}</pre>
      </details>
    </main>`,
  })
}

/** A page that says one thing: what went wrong, and what to do about it. */
export function noticePage({ title, text, link }) {
  return page({
    title,
    body: html`
    <main class="narrow">
      <h1>${title}</h1>
      <p class="lead">${text}</p>
      ${link && html`<p><a href="${link}">To the shop</a></p>`}
    </main>`,
  })
}

function page({ title, name, body }) {
  return String(html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${title}</title>
    <link rel="icon" type="image/svg+xml" href="/static/cup.svg">
    <link rel="stylesheet" href="/static/style.css">
  </head>
  <body>
    <header>
      <a class="brand" href="/"><img src="/static/cup.svg" alt="" width="28" height="28">The tea shop</a>
      ${
        name &&
        html`<form class="who" method="post" action="/logout"><span>${name}</span><button type="submit">Log out</button></form>`
      }
    </header>
    ${body}
  </body>
</html>
`)
}

function teaRow([id, { name, note, cents, cup }]) {
  return html`
            <li>
              <svg class="cup" viewBox="0 0 24 24" aria-hidden="true">
                <circle cx="12" cy="12" r="11" class="china"/><circle cx="12" cy="12" r="8" fill="${cup}"/>
              </svg>
              <div class="what"><strong>${name}</strong><span class="note">${note}</span></div>
              <span class="price">${price(cents)}</span>
              ${stepForm({ id, step: 1, label: `Put ${name} into the cart`, text: 'Add' })}
            </li>`
}

function cartRows(cart) {
  const rows = [...cart].map(([id, count]) => ({ id, count, ...teas.get(id) }))
  const total = rows.reduce((sum, { count, cents }) => sum + count * cents, 0)
  return html`
          <ul class="rows cart">${rows.map(cartRow)}</ul>
          <p class="total"><span>Total</span><strong>${price(total)}</strong></p>`
}

function cartRow({ id, count, name, cents }) {
  return html`
            <li>
              ${stepForm({ id, step: -1, label: `One ${name} less`, text: '−' })}
              <span class="count">${count}</span>
              ${stepForm({ id, step: 1, label: `One ${name} more`, text: '+' })}
              <div class="what"><strong>${name}</strong></div>
              <span class="price">${price(count * cents)}</span>
            </li>`
}

function stepForm({ id, step, label, text }) {
  return html`<form method="post" action="/cart">
                <input type="hidden" name="step" value="${step}">
                <button type="submit" name="tea" value="${id}" aria-label="${label}">${text}</button>
              </form>`
}

function price(cents) {
  return `€ ${(cents / 100).toFixed(2)}`
}
