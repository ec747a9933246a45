/** Splits a command's arguments, with one sentence for everything that may be wrong with them. */
import { parseArgs } from "node:util"
import { UsageError, type Command, type Option, type OptionTable } from "./command.ts"
import { closest } from "./suggest.ts"

/** Every command has these. */
export const COMMON_OPTIONS = {
  help: { type: "boolean", short: "h", help: "show this help" },
} as const satisfies OptionTable

export interface Arguments {
  readonly values: Readonly<Record<string, unknown>>
  readonly operands: readonly string[]
  readonly asksHelp: boolean
}

export function readArguments(command: Command, words: readonly string[]): Arguments {
  const { args, foreign } = divided(command, words)
  const options: OptionTable = { ...command.options, ...COMMON_OPTIONS }
  // Not strict: the checks below know more about the command than parseArgs, and say it shorter.
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(options).map(([name, { type, short }]) => [
        name,
        short === undefined ? { type } : { type, short },
      ]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) if (token.kind === "option") checkOption(command, options, token)
  const asksHelp = values["help"] === true
  if (!asksHelp) checkOperands(command, positionals)
  return { values, operands: [...positionals, ...foreign], asksHelp }
}

/** Our words, and those behind them that are another program's. */
function divided(
  command: Command,
  words: readonly string[],
): { args: readonly string[]; foreign: readonly string[] } {
  const places = operandPlaces(command, words)
  const own = command.ownOperands?.(words[places[0] ?? words.length])
  const last = own === undefined ? undefined : places[own - 1]
  if (last === undefined) return { args: words, foreign: [] }
  const rest = words.slice(last + 1)
  return { args: words.slice(0, last + 1), foreign: rest[0] === "--" ? rest.slice(1) : rest }
}

function operandPlaces(command: Command, words: readonly string[]): number[] {
  if (command.ownOperands === undefined) return []
  const types = Object.entries(command.options).map(
    ([name, { type, short }]) => [name, short === undefined ? { type } : { type, short }] as const,
  )
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(types),
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  return tokens.flatMap((token) => (token.kind === "positional" ? [token.index] : []))
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value: string | undefined
  readonly inlineValue: boolean | undefined
}

function checkOption(command: Command, options: OptionTable, token: OptionToken): void {
  const { rawName, value } = token
  const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined
  if (option === undefined) {
    const similar = rawName.startsWith("--") ? closest(token.name, Object.keys(options)) : undefined
    throw new UsageError(
      `${command.name} has no option ${rawName}`,
      similar === undefined ? undefined : `did you mean --${similar}?`,
    )
  }
  if (option.type === "boolean") {
    if (value !== undefined) throw new UsageError(`${command.name}: ${rawName} takes no value`)
    return
  }
  if (value === undefined || value === "") throw needsValue(command, option, rawName)
  // `--log --read-only`: the next option is hardly meant as the value. `-` alone is stdin or stdout.
  if (token.inlineValue === false && value.startsWith("-") && value !== "-") {
    throw new UsageError(
      `${command.name}: ${rawName} needs ${article(option)}, "${value}" looks like an option`,
      `if it is meant as the value, write it as one word: ${rawName.startsWith("--") ? `${rawName}=${value}` : `${rawName}${value}`}`,
    )
  }
}

function needsValue(command: Command, option: Option, rawName: string): UsageError {
  return new UsageError(`${command.name}: ${rawName} needs ${article(option)}`)
}

function article(option: Option): string {
  return `a value (${option.value ?? "VALUE"})`
}

function checkOperands(command: Command, given: readonly string[]): void {
  const { operands } = command
  const missing = operands.slice(given.length).filter(({ optional }) => optional !== true)
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(" and ")
    throw new UsageError(
      `${command.name}: ${names} ${missing.length === 1 ? "is" : "are"} missing`,
      `usage: clawfs ${command.name} ${command.usage}`,
    )
  }
  const surplus = operands.at(-1)?.rest === true ? undefined : given[operands.length]
  if (surplus !== undefined) {
    throw new UsageError(
      `${command.name}: "${surplus}" is one operand too many`,
      `usage: clawfs ${command.name} ${command.usage}`,
    )
  }
  // An unset variable in a script (`clawfs init "$STORE"`) must not become the working directory.
  const empty = given.slice(0, operands.length).indexOf("")
  if (empty >= 0) throw new UsageError(`${command.name}: ${operands[empty]?.name ?? "an operand"} is empty`)
}
