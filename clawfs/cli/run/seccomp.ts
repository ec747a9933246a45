/** The work of `clawfs seccomp`. */
import { readFileSync, writeFileSync } from "node:fs"
import { SeccompList } from "../../../schema/seccomp.ts"
import { Fault } from "../../core/fault.ts"
import { Log } from "../../core/log.ts"
import { profileTool } from "../../runner/profile.ts"
import { compile } from "../../seccomp/compile.ts"
import { examine } from "../../seccomp/examine.ts"
import { LISTS } from "../../seccomp/lists.ts"
import { ToolPlaces } from "../../tools/places.ts"
import { unknownAction } from "../action.ts"
import { UsageError } from "../command.ts"
import { ACTIONS, type SeccompInvocation } from "../commands/seccomp.ts"
import { ExitCode } from "../exit-code.ts"
import { mountHere } from "../mount-here.ts"
import { vaultDirectory } from "../vault/place.ts"

const STDOUT = 1

export async function runSeccomp(invocation: SeccompInvocation): Promise<ExitCode> {
  const { operands, values } = invocation
  const [action = "", list = ""] = operands
  if (action !== "profile" && values.mount !== undefined)
    throw new UsageError("seccomp: --mount is for profile")
  if (action !== "compile" && action !== "profile" && values.output !== undefined)
    throw new UsageError("seccomp: --output is for compile and profile")
  if (action !== "check" && values.json !== undefined) throw new UsageError("seccomp: --json is for check")
  switch (action) {
    case "check":
      return check(invocation, readList(list))
    case "compile":
      return compileTo(invocation, readList(list))
    case "print":
      return print(invocation, list)
    case "profile":
      return await profile(invocation, list)
    default:
      throw unknownAction("seccomp", action, ACTIONS)
  }
}

function readList(path: string): SeccompList {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, "utf8"))
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new Fault("invalid", `${path} is not JSON: ${cause.message}`, { cause })
  }
  const list = SeccompList.safeParse(value)
  if (list.success) return list.data
  const [issue] = list.error.issues
  const where = issue?.path.map(String).join(".") ?? ""
  throw new Fault("invalid", `${path}: ${where === "" ? "" : `${where}: `}${issue?.message ?? "invalid"}`)
}

function check({ values, terminal }: SeccompInvocation, list: SeccompList): ExitCode {
  const opinions = examine(list)
  if (values.json === true) terminal.out(JSON.stringify(opinions, undefined, 2))
  else for (const { level, message } of opinions) terminal.out(`${level}: ${message}`)
  return opinions.some(({ level }) => level === "error") ? ExitCode.NO : ExitCode.OK
}

function compileTo({ values, terminal }: SeccompInvocation, list: SeccompList): ExitCode {
  const { output } = values
  if (output === undefined) throw new UsageError("seccomp: compile needs --output FILE")
  const { program, instructions, unknown } = compile(list)
  writeFileSync(output === "-" ? STDOUT : output, program)
  terminal.note(`${instructions} instructions, ${program.length} bytes`)
  if (unknown.length > 0)
    terminal.note(`left out, as this architecture does not have them: ${unknown.join(", ")}`)
  return ExitCode.OK
}

/** What the tool writes goes to stderr, all of it: stdout may be the list's. */
const STDIO = [0, 2, 2] as const

async function profile({ values, operands, terminal }: SeccompInvocation, name: string): Promise<ExitCode> {
  const { output } = values
  if (output === undefined) throw new UsageError("seccomp: profile needs --output FILE")
  const { mountpoint } = mountHere(values.mount, "--mount DIRECTORY says which")
  const env = Object.entries(process.env).map(([variable, value]) => `${variable}=${value ?? ""}`)
  const { list, outcome, refused } = await profileTool({
    ...{ places: new ToolPlaces(mountpoint), vault: vaultDirectory(undefined), name },
    log: new Log("profile"),
    request: {
      words: { name, directory: process.cwd(), args: operands.slice(2), env },
      peer: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: process.pid },
      ...{ stdio: STDIO, script: undefined, [Symbol.dispose]: () => undefined },
    },
  })
  writeFileSync(output === "-" ? STDOUT : output, `${JSON.stringify(list, undefined, 2)}\n`)
  const seen = list.syscalls.filter(({ verified_by_strace }) => verified_by_strace === true)
  const used = new Set(seen.map((each) => each.name)).size
  terminal.note(
    `${name} ended with status ${outcome.status}, and used ${used} of the calls that tools may make`,
  )
  if (outcome.detail !== "") terminal.note(outcome.detail)
  for (const [call, count] of refused)
    terminal.note(`refused ${count} ${count === 1 ? "time" : "times"}: ${call}`)
  return ExitCode.OK
}

function print({ terminal }: SeccompInvocation, name: string): ExitCode {
  const list = LISTS.get(name)
  if (list === undefined)
    throw new UsageError(
      `seccomp: there is no list "${name}"`,
      `it is one of ${[...LISTS.keys()].join(", ")}`,
    )
  terminal.out(JSON.stringify(list(), undefined, 2))
  return ExitCode.OK
}
