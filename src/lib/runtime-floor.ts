/** The first release of each line of Node with the fix; later lines have it from the start. */
const floors: readonly (readonly [major: number, minor: number, patch: number])[] = [
  [24, 22, 1],
  [26, 12, 1],
]

/**
 * What an operator should know about the Node that runs this; undefined when there is nothing. The gateway decompresses
 * no body in either direction, so the weakness named here is not one that a stranger can reach through it.
 *
 * @param version Without `v`: `26.10.0`.
 */
export function explainRuntime(version: string): string | undefined {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  const newest = floors.at(-1)
  if (newest !== undefined && major > newest[0]) return undefined
  const floor = floors.find(([line]) => line === major)
  if (floor !== undefined && (minor > floor[1] || (minor === floor[1] && patch >= floor[2]))) return undefined
  return `Node ${version} lacks the fix for CVE-2026-111497 (Brotli decoder); 24.22.1 and 26.12.1 have it`
}
