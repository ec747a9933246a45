/** A completion script for zsh 5, made from the command table: to be sourced, or put into a directory of $fpath. */
import { COMMON_OPTIONS } from "../arguments.ts"
import type { Command, Completion, Operand, Option } from "../command.ts"

export function zshScript(commands: readonly Command[]): string {
  const described = [...commands.map(({ name, summary }) => `${name}:${summary}`), "help:explain a command"]
  return `#compdef clawfs
# zsh completion for clawfs; made by: clawfs completion zsh

# The mount points of this machine's ClawFS mounts. The kernel writes a space as \\040.
_clawfs_mounts() {
  local line
  local -a fields mounts
  while IFS= read -r line; do
    [[ $line == *" - fuse.clawfs "* ]] || continue
    fields=("\${(@s. .)line}")
    mounts+=("\${(g:o:)fields[5]}")
  done </proc/self/mountinfo
  compadd -f -a mounts
}

_clawfs() {
  local context state state_descr line
  local -A opt_args
  local -a commands
  commands=(
${described.map((text) => `    ${quoted(text)}`).join("\n")}
  )
  _arguments -C \\
    '(- *)'{-h,--help}'[show an overview]' \\
    '(- *)'{-V,--version}'[show the version]' \\
    '1:command:->command' \\
    '*::operand:->operand'
  case $state in
    command) _describe -t commands 'clawfs command' commands ;;
    operand)
      case $words[1] in
${commands.map(commandCase).join("\n")}
        help) _arguments '1:command:(${[...commands.map(({ name }) => name), "help"].join(" ")})' ;;
      esac
      ;;
  esac
}

# Sourced, the function is registered; as a file of $fpath, it is called.
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _clawfs "$@"
else
  compdef _clawfs clawfs
fi
`
}

function commandCase({ name, options, operands }: Command): string {
  const specs = [
    ...Object.entries({ ...options, ...COMMON_OPTIONS } as Record<string, Option>).flatMap(optionSpecs),
    ...operands.map(operandSpec),
  ]
  return `        ${name})\n          _arguments -s -S \\\n${specs.map((spec) => `            ${spec}`).join(" \\\n")}\n          ;;`
}

/** `--flush=[explanation]:SECONDS:action`; the = allows both --flush 5 and --flush=5. */
function optionSpecs([name, { type, short, value, completes, help }]: [string, Option]): string[] {
  const explanation = `[${(help.split(";")[0] ?? "").replace(/[[\]]/g, "\\$&")}]`
  const tail = type === "string" ? `:${value ?? "VALUE"}:${action(completes)}` : ""
  const long = quoted(`--${name}${type === "string" ? "=" : ""}${explanation}${tail}`)
  return short === undefined ? [long] : [quoted(`-${short}${explanation}${tail}`), long]
}

function operandSpec({ name, optional, completes }: Operand, at: number): string {
  return quoted(`${at + 1}:${optional === true ? ":" : ""}${name}:${action(completes)}`)
}

function action(completes: Completion | undefined): string {
  if (completes === undefined) return ""
  if (typeof completes !== "string") return `(${completes.join(" ")})`
  return { directory: "_files -/", mountpoint: "_clawfs_mounts", user: "_users", group: "_groups" }[completes]
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
