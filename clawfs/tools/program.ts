/** Whether a tool's file can be run here at all: its kind, its architecture, its interpreter. Pure but for looking at files. */
import { accessSync, constants, statSync } from "node:fs"
import { Fault } from "../core/fault.ts"

const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46])
const ELF_CLASS_AT = 4
const ELFCLASS64 = 2
const ELF_TYPE_AT = 16
const ELF_MACHINE_AT = 18
const ET_EXEC = 2
const ET_DYN = 3
/** e_machine of elf(5) by Node's name of the architecture. */
const MACHINES: Readonly<Record<string, number>> = { x64: 62, arm64: 183, riscv64: 243, ppc64: 21, s390x: 22 }
/** Linux cuts a longer one. */
export const MOST_SHEBANG = 255
/** What a sandbox shows of the machine. */
const VISIBLE = /^\/(usr|bin|sbin|lib|lib64)\//

/** Throws `Fault("invalid")` for a file that is no program of this machine. */
export function requireNative(bytes: Buffer, name: string): void {
  const [type, machine] =
    bytes.length > 20 && bytes.subarray(0, 4).equals(ELF_MAGIC) && bytes[ELF_CLASS_AT] === ELFCLASS64
      ? [bytes.readUInt16LE(ELF_TYPE_AT), bytes.readUInt16LE(ELF_MACHINE_AT)]
      : [0, 0]
  if (type !== ET_EXEC && type !== ET_DYN)
    throw new Fault("invalid", `${name} is no 64-bit ELF program`, { hint: 'a script is of kind "script"' })
  if (machine !== MACHINES[process.arch])
    throw new Fault("invalid", `${name} is a program for another architecture than ${process.arch}`)
}

/** The program that runs a script: that of the manifest, or of its first line. Throws when there is none here. */
export function interpreterOf(bytes: Buffer, name: string, given: string | undefined): string {
  const interpreter = given ?? shebangOf(bytes)
  if (interpreter === undefined)
    throw new Fault("invalid", `${name} names no interpreter`, {
      hint: 'begin it with #!, or set "interpreter" in tool.json',
    })
  if (!VISIBLE.test(interpreter) || interpreter.split("/").includes(".."))
    throw new Fault("invalid", `the interpreter ${interpreter} can't be seen in a sandbox`, {
      hint: "it must lie in /usr, /bin or /sbin",
    })
  try {
    accessSync(interpreter, constants.X_OK)
  } catch (cause) {
    throw new Fault("not-found", `the interpreter ${interpreter} is not installed`, { cause })
  }
  if (!statSync(interpreter).isFile())
    throw new Fault("invalid", `the interpreter ${interpreter} is no program`)
  return interpreter
}

/** The program that a script's first line names; of its beginning. */
export function shebangOf(bytes: Buffer): string | undefined {
  const end = bytes.subarray(0, MOST_SHEBANG).indexOf("\n")
  const line = bytes.toString("utf8", 0, end < 0 ? 0 : end)
  return /^#!\s*(\/\S+)/.exec(line)?.[1]
}

/** Of a file that comes without a manifest. */
export function kindOf(bytes: Buffer): "native" | "script" {
  return bytes.subarray(0, 4).equals(ELF_MAGIC) ? "native" : "script"
}
