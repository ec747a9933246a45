/** Programs that give a value out on stdout: it stays in bytes that can be wiped, and is never an argument. */
import { spawnSync } from "node:child_process"
import { Fault } from "../../../core/fault.ts"

const MOST_OUTPUT = 1024 * 1024
const SHOWN = 200

/**
 * What the program writes. Throws `Fault("unsupported")` where there is no such program, "denied" with its last words where it
 * fails. `stdin` and the terminal are the caller's, so that it can ask for a passphrase.
 */
export function outputOf(program: string, args: readonly string[], what: string): Buffer {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    stdio: ["inherit", "pipe", "pipe"],
    maxBuffer: MOST_OUTPUT,
  })
  if ((error as NodeJS.ErrnoException | undefined)?.code === "ENOENT")
    throw new Fault("unsupported", `there is no ${program} on this machine, which opens ${what}`, {
      cause: error,
    })
  if (error === undefined && status === 0) return stdout
  stdout.fill(0)
  const words = stderr.toString().trim().split("\n").at(-1) ?? ""
  throw new Fault("denied", `${program} does not open ${what}: ${words.slice(0, SHOWN)}`, { cause: error })
}
