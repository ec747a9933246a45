/** Files that are memory alone (memfd_create(2)): what is handed to another process without a name that others could open. */
import { checked } from "./ffi.ts"
import { memfdCreate } from "./libc.ts"

const MFD_CLOEXEC = 1
const MFD_ALLOW_SEALING = 2

/** An open, empty one, closed at execve(2). `name` is shown in /proc. `sealable`: `fcntl(F_ADD_SEALS)` can forbid changes. */
export function memoryFile(name: string, kind: "plain" | "sealable" = "plain"): number {
  const flags = kind === "sealable" ? MFD_CLOEXEC | MFD_ALLOW_SEALING : MFD_CLOEXEC
  return checked("memfd_create", memfdCreate(name, flags))
}
