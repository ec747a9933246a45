/** A completion script for bash 4 or newer, made from the command table. */
import { COMMON_OPTIONS } from "../arguments.ts"
import type { Command, Completion, OptionTable } from "../command.ts"

const HELPERS = `# bash completion for clawfs; made by: clawfs completion bash

# The mount points of this machine's ClawFS mounts. The kernel writes a space as \\040.
_clawfs_mounts() {
  local line fields path
  while IFS= read -r line; do
    [[ $line == *" - fuse.clawfs "* ]] || continue
    read -r -a fields <<<"$line"
    printf -v path '%b' "\${fields[4]//\\\\/\\\\0}"
    [[ $path == "$1"* ]] && COMPREPLY+=("$path")
  done </proc/self/mountinfo
  compopt -o filenames 2>/dev/null
}

_clawfs_words() {
  local cur=$1
  shift
  mapfile -t COMPREPLY < <(compgen -W "$*" -- "$cur")
}

_clawfs_directories() {
  mapfile -t COMPREPLY < <(compgen -d -- "$1")
  compopt -o filenames 2>/dev/null
}
`

export function bashScript(commands: readonly Command[]): string {
  const names = [...commands.map(({ name }) => name), "help"]
  return `${HELPERS}
_clawfs() {
  local cur=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command=\${COMP_WORDS[1]:-} operands=0 ended= word at options
  COMPREPLY=()
  # Readline takes the = of --log=debug for a word of its own.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if ((COMP_CWORD == 1)); then
    _clawfs_words "$cur" ${[...names, "--help", "--version"].join(" ")}
    return
  fi
  # How many operands stand before the word at the cursor.
  for ((at = 2; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if [[ -z $ended && $word == -- ]]; then
      ended=1
    elif [[ -z $ended && $word == -* ]]; then
      case "$command $word" in
${valueOptionsCase(commands)}
      esac
    else
      ((operands += 1))
    fi
  done
  case "$command $previous" in
${commands.flatMap(valueCases).join("\n")}
  esac
  if [[ -z $ended && $cur == -* ]]; then
    case $command in
${commands.map((each) => `      ${each.name}) options="${optionWords(each.options)}" ;;`).join("\n")}
    esac
    _clawfs_words "$cur" "\${options:-}"
    return
  fi
  case "$command $operands" in
${commands.flatMap(operandCases).join("\n")}
    "help 0") _clawfs_words "$cur" ${names.join(" ")} ;;
  esac
}

complete -F _clawfs clawfs
`
}

function optionWords(options: OptionTable): string {
  return Object.entries({ ...options, ...COMMON_OPTIONS } as OptionTable)
    .flatMap(([name, option]) => [`--${name}`, ...(option.short === undefined ? [] : [`-${option.short}`])])
    .join(" ")
}

/** Options whose value is the next word: that word is no operand. */
function valueOptionsCase(commands: readonly Command[]): string {
  const patterns = commands.flatMap(({ name, options }) =>
    Object.entries(options)
      .filter(([, { type }]) => type === "string")
      .map(([option]) => `"${name} --${option}"`),
  )
  return [
    `        ${patterns.join(" | ")})`,
    "          [[ ${COMP_WORDS[at + 1]} == = ]] && ((at += 1))",
    "          ((at += 1))",
    "          ;;",
  ].join("\n")
}

function valueCases({ name, options }: Command): string[] {
  return Object.entries(options)
    .filter(([, { type }]) => type === "string")
    .map(([option, { completes }]) => `    "${name} --${option}") ${offer(completes)}; return ;;`)
}

function operandCases({ name, operands }: Command): string[] {
  return operands.map(({ completes }, at) => `    "${name} ${at}") ${offer(completes)} ;;`)
}

function offer(completes: Completion | undefined): string {
  if (completes === undefined) return ":"
  if (typeof completes !== "string") return `_clawfs_words "$cur" ${completes.join(" ")}`
  const offers = {
    directory: '_clawfs_directories "$cur"',
    mountpoint: '_clawfs_mounts "$cur"',
    user: 'mapfile -t COMPREPLY < <(compgen -u -- "$cur")',
    group: 'mapfile -t COMPREPLY < <(compgen -g -- "$cur")',
  } as const
  return offers[completes]
}
