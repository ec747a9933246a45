/** `clawfs vault exec`: asks the vault's process to run a program with secrets, and waits for it. */
import { accessSync, constants } from "node:fs"
import { constants as os } from "node:os"
import { delimiter, join, resolve } from "node:path"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import type { ExitCode } from "../exit-code.ts"
import type { VaultAction } from "../vault/action.ts"
import { callVault } from "../vault/client.ts"

const STANDARD = [0, 1, 2] as const
/** Shells say so of a program that a signal ended. */
const SIGNALLED = 128
const PASSED = ["HOME", "LANG", "LC_ALL", "LOGNAME", "TERM", "TZ", "USER"]

interface Use {
  readonly name: string
  readonly variable: string
  readonly as: "fd" | "env"
}

function usesOf(as: Use["as"], text: string | undefined): Use[] {
  return (text?.split(",") ?? []).map((each) => {
    const [, variable = "", name = ""] = /^([A-Za-z_][A-Za-z0-9_]{0,63})=(.+)$/.exec(each) ?? []
    if (name === "") throw new UsageError(`vault exec: --${as} takes VAR=NAME, got "${each}"`)
    return { name, variable, as }
  })
}

/** The program's path, as a shell finds it. */
function found(program: string): string {
  if (program.includes("/")) return resolve(program)
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(directory, program)
    if (directory !== "" && isExecutable(path)) return resolve(path)
  }
  throw new Fault("not-found", `there is no program ${program}`)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    // Here is none, the next directory may have it.
    return false
  }
}

interface Executed {
  readonly code: number | null
  readonly signal: keyof typeof os.signals | null
  readonly leaks: number
  readonly leaked: readonly string[]
}

export function execute({ directory, values, operands, terminal }: VaultAction): ExitCode {
  const [program = "", ...args] = operands
  const uses = [...usesOf("fd", values.fd), ...usesOf("env", values.env)]
  if (uses.length === 0) throw new UsageError("vault exec: --fd or --env says which secret the program gets")
  const environment = PASSED.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [`${name}=${value}`]
  })
  const params = {
    ...{ program: found(program), args, uses, environment, directory: process.cwd() },
    ...{ stdin: 0, stdout: 1, stderr: 2 },
  }
  const { code, signal, leaks, leaked } = callVault(directory, "exec", params, STANDARD, 0) as Executed
  if (leaks > 0)
    terminal.note(
      `${leaks === 1 ? "a value was" : `${leaks} values were`} taken out of the output: ${leaked.join(", ")}`,
    )
  // The program's own status, whatever it means there.
  return (code ?? SIGNALLED + (signal === null ? 0 : os.signals[signal])) as ExitCode
}
