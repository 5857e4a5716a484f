// Plain JavaScript in the words of an old Node: it has to be read by the very versions that it turns away.

/** The oldest Node that runs the gateway; `engines` in package.json says the same. */
export const oldestNode = 24

/**
 * The one line that says why this Node cannot run the gateway; undefined when it can.
 *
 * @param {string} version such as 20.20.2, what `process.versions.node` holds
 */
export function explainOldNode(version) {
  if (Number(version.split('.')[0]) >= oldestNode) return undefined
  return `sessiongate needs Node ${oldestNode} or newer, and this is Node ${version}`
}
