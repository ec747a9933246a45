#!/usr/bin/env node
/** argv → command → exit code. The only place that sets the process's status. */
import { describe } from "../core/fault.ts"
import { VERSION } from "../core/version.ts"
import { readArguments } from "./arguments.ts"
import { UsageError, type Command } from "./command.ts"
import { allCommands, COMMAND_NAMES, commandNamed } from "./commands.ts"
import { ExitCode, exitCodeOf, type PassedOn } from "./exit-code.ts"
import { helpOf, overview } from "./help.ts"
import { faultOf } from "./node-fault.ts"
import { closest } from "./suggest.ts"
import { processTerminal as terminal } from "./terminal.ts"

const LIST = "clawfs --help lists the commands"

async function main([name, ...rest]: readonly string[]): Promise<ExitCode | PassedOn> {
  switch (name) {
    case undefined:
      throw new UsageError("no command is given", LIST)
    case "-V":
    case "--version":
      terminal.out(`clawfs ${VERSION}`)
      return ExitCode.OK
    case "-h":
    case "--help":
    case "help":
      return await help(name === "help" ? rest : [])
    default:
      return await run(await find(name), rest)
  }
}

async function help([name, surplus]: readonly string[]): Promise<ExitCode> {
  if (surplus !== undefined) throw new UsageError("help explains one command at a time", LIST)
  const asksOverview = name === undefined || name === "--help" || name === "-h"
  terminal.out(asksOverview ? overview(await allCommands()) : helpOf(await find(name)))
  return ExitCode.OK
}

async function find(name: string): Promise<Command> {
  const found = await commandNamed(name)
  if (found !== undefined) return found
  if (name.startsWith("-")) throw new UsageError(`there is no option ${name} before a command`, LIST)
  const names = [...COMMAND_NAMES, "help"]
  const similar = ALIASES.get(name) ?? closest(name, names)
  throw new UsageError(
    `there is no command "${name}"`,
    similar === undefined ? LIST : `did you mean ${similar}? ${LIST}`,
  )
}

/** What other programs call it. */
const ALIASES = new Map([
  ["create", "init"],
  ["new", "init"],
  ["format", "init"],
  ["mkfs", "init"],
  ["start", "mount"],
  ["umount", "unmount"],
  ["eject", "unmount"],
  ["stop", "unmount"],
  ["info", "status"],
  ["list", "status"],
  ["ls", "status"],
  ["check", "doctor"],
])

async function run(command: Command, args: readonly string[]): Promise<ExitCode | PassedOn> {
  try {
    const { values, operands, asksHelp } = readArguments(command, args)
    if (!asksHelp) return await command.run(values, operands, terminal)
    terminal.out(helpOf(command))
    return ExitCode.OK
  } catch (thrown) {
    if (!(thrown instanceof UsageError)) throw thrown
    terminal.fail(thrown.message, thrown.hint ?? `clawfs ${command.name} --help tells more`)
    return ExitCode.USAGE
  }
}

function report(thrown: unknown): ExitCode {
  if (thrown instanceof UsageError) {
    terminal.fail(thrown.message, thrown.hint)
    return ExitCode.USAGE
  }
  const fault = faultOf(thrown)
  if (fault !== undefined) {
    terminal.fail(fault.message, fault.hint)
    return exitCodeOf[fault.kind]
  }
  terminal.fail(`internal error: ${describe(thrown)}`, "please report this, with the lines below")
  if (thrown instanceof Error) terminal.note(thrown.stack ?? "")
  return ExitCode.BUG
}

let outputFailure: string | undefined
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough (`clawfs status | head -1`) is no error.
  if (error.code === "EPIPE" || outputFailure !== undefined) return
  outputFailure = error.message
  terminal.fail(`the output can't be written (${error.message})`)
})
process.on("exit", () => {
  if (outputFailure !== undefined) process.exitCode = ExitCode.IO
})
process.exitCode = await main(process.argv.slice(2)).catch(report)
