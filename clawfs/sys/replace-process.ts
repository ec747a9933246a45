/** Becomes another program, as a shell's `exec` does. */
import { bind, sysFault } from "./ffi.ts"
import { fcntl } from "./libc.ts"

const execv = bind<[path: string, argv: readonly (string | null)[]]>("int execv(const char*, const char**)")

const [F_SETFD, F_GETFL, F_SETFL] = [2, 3, 4]
const O_NONBLOCK = 0o4000
const STDIO = [0, 1, 2]

/**
 * This process becomes the program at `path` (execv(3)), with its standard descriptors, environment and number. Nothing else of it
 * stays. Throws `SysFault` when the kernel refuses; then it is as it was.
 */
export function replaceProcess(path: string, args: readonly string[]): never {
  for (const fd of STDIO) {
    const flags = fcntl(fd, F_GETFL, 0)
    // Closed already, and stays so.
    if (flags < 0) continue
    // Node marks what it was started with to be closed, and does not wait for pipes: other programs expect that (as libuv's uv_spawn).
    fcntl(fd, F_SETFD, 0)
    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK)
  }
  execv(path, [path, ...args, null])
  throw sysFault("execv")
}
