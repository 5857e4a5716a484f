/** What an entry of `servers` names; `kind` other than `http` is known but not supported yet. */
export type UpstreamServer =
  | { readonly kind: 'http'; readonly origin: string }
  | { readonly kind: 'https' }
  | { readonly kind: 'unix' }

/** `http://127.0.0.1:8000`; `undefined` for what is no URL, or has more than scheme, host and port. */
export function parseUpstreamServer(text: string): UpstreamServer | undefined {
  if (/^unix:./.test(text)) return { kind: 'unix' }
  const url = URL.parse(text)
  if (url === null || !/^https?:\/\/[^/?#@\\\s]+\/?$/i.test(text)) return undefined
  if (url.protocol === 'https:') return { kind: 'https' }
  return { kind: 'http', origin: url.origin }
}
