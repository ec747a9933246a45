/** The work of `clawfs seccomp`. */
import { readFileSync, writeFileSync } from "node:fs"
import { SeccompList } from "../../../schema/seccomp.ts"
import { Fault } from "../../core/fault.ts"
import { compile, examine } from "../../runner/seccomp.ts"
import { toolList } from "../../runner/seccomp-list.ts"
import { unknownAction } from "../action.ts"
import { UsageError } from "../command.ts"
import { ACTIONS, type SeccompInvocation } from "../commands/seccomp.ts"
import { ExitCode } from "../exit-code.ts"

const STDOUT = 1
const LISTS = { tool: false, "tool-spawn": true } as const

// eslint-disable-next-line @typescript-eslint/require-await -- commands are asynchronous, this one has nothing to wait for
export async function runSeccomp(invocation: SeccompInvocation): Promise<ExitCode> {
  const { operands, values } = invocation
  const [action = "", list = ""] = operands
  if (action !== "compile" && values.output !== undefined)
    throw new UsageError("seccomp: --output is for compile")
  if (action !== "check" && values.json !== undefined) throw new UsageError("seccomp: --json is for check")
  switch (action) {
    case "check":
      return check(invocation, readList(list))
    case "compile":
      return compileTo(invocation, readList(list))
    case "print":
      return print(invocation, list)
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
  throw new Fault(
    "invalid",
    `${path}: ${issue?.path.map(String).join(".") ?? ""}: ${issue?.message ?? "invalid"}`,
  )
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

function print({ terminal }: SeccompInvocation, name: string): ExitCode {
  if (!Object.hasOwn(LISTS, name))
    throw new UsageError(
      `seccomp: there is no list "${name}"`,
      `it is one of ${Object.keys(LISTS).join(", ")}`,
    )
  terminal.out(JSON.stringify(toolList(LISTS[name as keyof typeof LISTS]), undefined, 2))
  return ExitCode.OK
}
