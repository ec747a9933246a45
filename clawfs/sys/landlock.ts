/** Landlock (landlock(7)): rights that a process takes away from itself. `starter.c` does that; here is what the kernel has. */
import { bind, lastErrno } from "./ffi.ts"

const createRuleset = bind<[number: number, attributes: null, size: number, flags: number]>(
  "long syscall(long, void*, size_t, unsigned int)",
)

/** The same number on every architecture. */
const LANDLOCK_CREATE_RULESET = 444
const VERSION = 1
const ENOSYS = 38
const EOPNOTSUPP = 95

/** The version of its interface; or why there is none. */
export function landlockVersion(): number | { readonly reason: string } {
  const version = createRuleset(LANDLOCK_CREATE_RULESET, null, 0, VERSION)
  if (version > 0) return version
  const errno = lastErrno()
  if (errno === ENOSYS) return { reason: "the kernel has no Landlock (Linux 5.13)" }
  if (errno === EOPNOTSUPP) return { reason: "Landlock was not switched on when the kernel started" }
  return { reason: `the kernel refuses Landlock (errno ${errno})` }
}
