import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin'

/** Calls whose texts go to the log and to people, and to nothing that decides. */
const tellers = /^(?:[A-Za-z]*Error|invalid)$/

/** @param {import('@stryker-mutator/api/ignore').NodePath} path */
function isMessage(path) {
  const around = (parent) => parent.isCallExpression() || parent.isNewExpression() || parent.isStatement()
  const call = path.findParent(around)
  if (!call || call.isStatement() || call.node.callee.type !== 'Identifier') return false
  const isCode = path.isStringLiteral() && /^ERR_[A-Z_]+$/.test(path.node.value)
  return tellers.test(call.node.callee.name) && !isCode
}

/** `raw[i] ?? ''`: what the type checker asks for, where the index is known to be within bounds. */
function isFallback(path) {
  const { node, parent } = path
  if (parent.type !== 'LogicalExpression' || parent.operator !== '??' || parent.right !== node) return false
  return (
    parent.left.type === 'MemberExpression' && parent.left.computed && parent.left.property.type !== 'NumericLiteral'
  )
}

/** What is left alone: a test that held it would only repeat it, or cannot be written. */
export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'wording', {
    shouldIgnore(path) {
      if (!path.isStringLiteral() && !path.isTemplateLiteral()) return undefined
      if (isMessage(path)) return 'the wording of a message'
      return isFallback(path) ? 'never reached' : undefined
    },
  }),
]
