/** A header of version 2 of the PROXY protocol around these bytes. */
export function proxyV2(command: number, family: number, body: readonly number[]): Buffer {
  const head = Buffer.from('\r\n\r\n\0\r\nQUIT\n\0\0\0\0', 'latin1')
  head[12] = command
  head[13] = family
  head.writeUInt16BE(body.length, 14)
  return Buffer.concat([head, Buffer.from(body)])
}
