#!/usr/bin/env node
/** argv → command → exit code. The only place that sets the process's status. */
import { parseArgs } from "node:util"
import { Fault, describe } from "../core/fault.ts"
import { VERSION } from "../core/version.ts"
import type { Command } from "./command.ts"
import { COMMANDS } from "./commands.ts"
import { ExitCode, exitCodeOf } from "./exit-code.ts"
import { processTerminal as terminal } from "./terminal.ts"

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length))
  const lines = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`)
  return [
    "usage: clawfs COMMAND [options]",
    "",
    ...lines,
    "",
    "clawfs COMMAND --help tells more about one of them.",
  ].join("\n")
}

function usageError(message: string, found?: Command): ExitCode {
  terminal.fail(
    message,
    found === undefined ? "clawfs --help lists the commands" : `clawfs ${found.name} --help tells more`,
  )
  return ExitCode.USAGE
}

async function main(argv: readonly string[]): Promise<ExitCode> {
  const [name, ...rest] = argv
  if (name === undefined) return usageError("no command given")
  if (name === "--version" || name === "-V") {
    terminal.out(`clawfs ${VERSION}`)
    return ExitCode.OK
  }
  const asksHelp = name === "--help" || name === "-h" || (name === "help" && rest[0] === undefined)
  if (asksHelp) {
    terminal.out(overview())
    return ExitCode.OK
  }
  const wanted = name === "help" ? rest[0] : name
  const found = COMMANDS.find((candidate) => candidate.name === wanted)
  if (found === undefined) return usageError(`there is no command "${wanted ?? ""}"`)
  if (name === "help" || rest.includes("--help") || rest.includes("-h")) {
    terminal.out(found.help.trim())
    return ExitCode.OK
  }
  return await runCommand(found, rest)
}

async function runCommand(found: Command, args: readonly string[]): Promise<ExitCode> {
  let parsed
  try {
    parsed = parseArgs({
      args: [...args],
      options: found.options,
      allowPositionals: true,
      strict: true,
      allowNegative: true,
    })
  } catch (thrown) {
    return usageError(`${found.name}: ${firstSentence(describe(thrown))}`, found)
  }
  const [least, most] = found.operands
  const { length } = parsed.positionals
  if (length < least) return usageError(`${found.name}: an operand is missing`, found)
  if (length > most)
    return usageError(`${found.name}: too many operands (from "${parsed.positionals[most] ?? ""}" on)`, found)
  return await found.run(parsed.values, parsed.positionals, terminal)
}

/** parseArgs explains `--` at length; one sentence is enough. */
function firstSentence(message: string): string {
  const sentence = message.split(". ")[0] ?? message
  return sentence.charAt(0).toLowerCase() + sentence.slice(1)
}

function report(thrown: unknown): ExitCode {
  if (thrown instanceof Fault && thrown.kind !== "bug") {
    terminal.fail(thrown.message, thrown.hint)
    return exitCodeOf[thrown.kind]
  }
  terminal.fail(`internal error: ${describe(thrown)}`, "please report this, with the lines below")
  if (thrown instanceof Error) terminal.note(thrown.stack ?? "")
  return ExitCode.BUG
}

// A reader that has seen enough (`clawfs status | head -1`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error
})
process.exitCode = await main(process.argv.slice(2)).catch(report)
