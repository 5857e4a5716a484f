import type { CommandNode, OptionNode } from './command-tree.ts'

/**
 * Each script walks over the words before the cursor: a name of a command leads on to it, an option that takes a value
 * takes the next word. What remains is where the cursor stands: after such an option, or in a command.
 */
interface Steps {
  /** `sessions/list`: where one stands, and the word that leads on. */
  readonly commands: readonly string[]
  /** `sessions list/--config`: where one stands, and the option that takes the next word. */
  readonly valued: readonly { readonly step: string; readonly option: OptionNode }[]
}

/** For bash 3.2 and newer. */
export function bashScript(nodes: readonly CommandNode[]): string {
  const { commands, valued } = stepsOf(nodes)
  const words = nodes.map(({ place, commands, options, choices }) => {
    const names = [...commands.map(({ name }) => name), ...choices].join(' ')
    return `      ${quoted(place)}) words=${quoted(names)} flags=${quoted(options.map(({ flag }) => flag).join(' '))} ;;`
  })
  return `# Completes sessiongate in bash: source <(sessiongate completion bash)
_sessiongate() {
  local current="\${COMP_WORDS[COMP_CWORD]}" place='' option='' word words='' flags=''
  local -i at
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    # bash takes --config=FILE for three words.
    if [[ $word == = ]]; then continue; fi
    if [[ -n $option ]]; then option=''; continue; fi
    case "$place/$word" in
      ${alternatives(commands)}) place="\${place:+$place }$word" ;;
      ${alternatives(valued.map(({ step }) => step))}) option="$word" ;;
    esac
  done
  if [[ $current == = ]]; then current=''; fi
  if [[ -n $option ]]; then
    case "$place/$option" in
      ${alternatives(stepsFor(valued, 'file'))})
        compopt -o filenames 2>/dev/null
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$current")
        return ;;
${choiceSteps(valued)
  .map(({ step, choices }) => `      ${quoted(step)}) words=${quoted(choices.join(' '))} ;;`)
  .join('\n')}
      *) return ;;
    esac
  else
    case "$place" in
${words.join('\n')}
    esac
    if [[ $current == -* || -z $words ]]; then words="$flags"; fi
  fi
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$words" -- "$current")
}
complete -F _sessiongate sessiongate
`
}

/** With what each does beside it. */
export function zshScript(nodes: readonly CommandNode[]): string {
  const { commands, valued } = stepsOf(nodes)
  const described = (entries: readonly (readonly [name: string, about: string])[]): string =>
    entries.map(([name, about]) => quoted(`${name}:${about}`)).join(' ')
  const places = nodes.map(
    ({ place, commands, options, choices }) => `    ${quoted(place)})
      names=(${described([...commands.map(({ name, about }) => [name, about] as const), ...choices.map((name) => [name, name] as const)])})
      flags=(${described(options.map(({ flag, about }) => [flag, about]))}) ;;`,
  )
  return `#compdef sessiongate
# Completes sessiongate in zsh: source <(sessiongate completion zsh)
_sessiongate() {
  local place='' option='' word
  local -i at
  local -a names flags
  for ((at = 2; at < CURRENT; at++)); do
    word="\${words[at]}"
    if [[ -n "$option" ]]; then option=''; continue; fi
    case "$place/$word" in
      ${alternatives(commands)}) place="\${place:+$place }$word" ;;
      ${alternatives(valued.map(({ step }) => step))}) option="$word" ;;
    esac
  done
  if [[ -n "$option" ]]; then
    case "$place/$option" in
      ${alternatives(stepsFor(valued, 'file'))}) _files ;;
${choiceSteps(valued)
  .map(({ step, choices }) => `      ${quoted(step)}) compadd -- ${choices.map(quoted).join(' ')} ;;`)
  .join('\n')}
    esac
    return
  fi
  case "$place" in
${places.join('\n')}
  esac
  if [[ "\${words[CURRENT]}" == -* ]]; then
    _describe -o option flags
  else
    _describe command names
  fi
}
if [[ "\${funcstack[1]}" == _sessiongate ]]; then
  _sessiongate "$@"
else
  compdef _sessiongate sessiongate
fi
`
}

/** For fish 3 and newer. */
export function fishScript(nodes: readonly CommandNode[]): string {
  const { commands, valued } = stepsOf(nodes)
  const lines = nodes.flatMap(({ place, commands, options, choices }) => {
    const head = `complete -c sessiongate -n ${fishQuoted(`__sessiongate_at ${fishQuoted(place)}`)}`
    return [
      ...commands.map(({ name, about }) => `${head} -a ${fishQuoted(name)} -d ${fishQuoted(about)}`),
      ...choices.map((name) => `${head} -a ${fishQuoted(name)}`),
      ...options.map(({ flag, about, value, choices }) => {
        const after = { none: '', text: ' -x', file: ' -r -F', choice: ` -x -a ${fishQuoted(choices.join(' '))}` }[
          value
        ]
        return `${head} -l ${flag.slice(2)}${after} -d ${fishQuoted(about)}`
      }),
    ]
  })
  return `# Completes sessiongate in fish: sessiongate completion fish | source
function __sessiongate_at
    set -l place
    set -l option
    for word in (commandline -opc)[2..-1]
        if test -n "$option"
            set option
            continue
        end
        switch "$place/$word"
            case ${commands.map(fishQuoted).join(' ')}
                set place (string trim -- "$place $word")
            case ${valued.map(({ step }) => fishQuoted(step)).join(' ')}
                set option "$word"
        end
    end
    test "$place" = "$argv[1]"
end
complete -c sessiongate -f
${lines.join('\n')}
`
}

function stepsOf(nodes: readonly CommandNode[]): Steps {
  return {
    commands: nodes.flatMap(({ place, commands }) => commands.map(({ name }) => `${place}/${name}`)),
    valued: nodes.flatMap(({ place, options }) =>
      options.filter(({ value }) => value !== 'none').map((option) => ({ step: `${place}/${option.flag}`, option })),
    ),
  }
}

function stepsFor(valued: Steps['valued'], value: OptionNode['value']): string[] {
  return valued.filter(({ option }) => option.value === value).map(({ step }) => step)
}

function choiceSteps(valued: Steps['valued']): { readonly step: string; readonly choices: readonly string[] }[] {
  return valued
    .filter(({ option }) => option.value === 'choice')
    .map(({ step, option: { choices } }) => ({ step, choices }))
}

function alternatives(steps: readonly string[]): string {
  return steps.map(quoted).join(' | ')
}

/** As one word, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** Of fish, where a backslash counts between quotes. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
