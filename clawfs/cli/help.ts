/** Renders the command table as text: the overview and the help of one command. */
import { COMMON_OPTIONS } from "./arguments.ts"
import type { Command, Option } from "./command.ts"

const WIDTH = 100

export function overview(commands: readonly Command[]): string {
  const rows = [...commands.map(({ name, summary }) => [name, summary]), ["help", "explain a command"]]
  return [
    "usage: clawfs COMMAND [options] [operands]",
    "",
    "ClawFS is a filesystem for AI agents; all of it lies in one directory, the store.",
    "",
    "commands:",
    ...columns(rows),
    "",
    "options:",
    ...columns([
      ["-h, --help", "show this overview"],
      ["-V, --version", "show the version"],
    ]),
    "",
    "clawfs COMMAND --help or clawfs help COMMAND explains one of them.",
  ].join("\n")
}

export function helpOf(command: Command): string {
  const { name, usage, description, options, sections = [], exits } = command
  const parts = [
    `usage: clawfs ${name} ${usage}`,
    description.trim(),
    ["options:", ...columns(Object.entries({ ...options, ...COMMON_OPTIONS }).map(optionRow))].join("\n"),
    ...sections.map(({ title, text }) => `${title}:\n${indented(text.trim())}`),
    ["exit status:", ...columns(exits.map(([code, meaning]) => [String(code).padStart(2), meaning]))].join(
      "\n",
    ),
  ]
  return parts.join("\n\n")
}

function optionRow([name, { short, value, help }]: [string, Option]): [string, string] {
  const letter = short === undefined ? "    " : `-${short}, `
  return [`${letter}--${name}${value === undefined ? "" : ` ${value}`}`, help]
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, "  ")
}

/** Two columns, the second one wrapped below itself. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const left = Math.max(...rows.map(([head = ""]) => head.length)) + 4
  return rows.flatMap(([head = "", text = ""]) =>
    wrapped(text, WIDTH - left).map((line, at) =>
      at === 0 ? `  ${head}`.padEnd(left) + line : " ".repeat(left) + line,
    ),
  )
}

function wrapped(text: string, width: number): string[] {
  const lines = [""]
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? ""
    if (line === "") lines[lines.length - 1] = word
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}
