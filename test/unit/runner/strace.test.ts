/** What strace writes, and the list that comes of it. */
import { expect, test } from "vitest"
import { prune } from "../../../clawfs/runner/profile.ts"
import { examine } from "../../../clawfs/seccomp/examine.ts"
import { toolList } from "../../../clawfs/seccomp/tool-list.ts"
import { callsUnderFilter } from "../../../clawfs/runner/strace.ts"
import { SeccompList } from "../../../schema/seccomp.ts"

const TEXT = `100 read(5, "x", 1) = 1
100 clone(child_stack=NULL, flags=SIGCHLD) = 101
101 capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {}) = 0
101 prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, {len=263, filter=0x1}) = 0
100 wait4(-1,  <unfinished ...>
101 execve("/run/tool/t", ["t"], 0x7ff /* 3 vars */) = 0
101 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3
101 clone3({flags=CLONE_VM}, 88) = -1 ENOSYS (Function not implemented)
101 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>
102 mount(NULL, "/", NULL, 0, NULL) = -1 EPERM (Operation not permitted)
101 <... clone resumed>) = 102
102 read(0, <unfinished ...>
101 openat(AT_FDCWD, "/x", O_RDONLY) = -1 ENOENT (No such file or directory)
102 <... read resumed>"", 1) = 0
102 +++ exited with 0 +++
101 --- SIGCHLD {si_signo=SIGCHLD} ---
101 exit_group(0) = ?
100 <... wait4 resumed>[{WIFEXITED(s)}], 0, NULL) = 101
100 exit_group(0) = ?
`

test("what was called under the filter counts, once each", () => {
  const seen = callsUnderFilter(TEXT)
  const counts = Object.fromEntries(
    [...seen].map(([name, { calls, refused }]) => [name, `${calls} ${refused}`]),
  )
  expect(counts).toEqual({
    ...{
      execve: "1 0",
      openat: "2 0",
      clone3: "1 1",
      clone: "1 0",
      mount: "1 1",
      read: "1 0",
      exit_group: "1 0",
    },
  })
})

test("whatever is no such line counts for nothing", () => {
  for (const text of ["", "\n\n", "read(0)", "strace: Process 1 attached\n", "1 \n", "99 prctl("])
    expect(callsUnderFilter(text).size).toBe(0)
})

test("the list has what was used, with its conditions, denials that programs need, and nothing is wrong with it", () => {
  const list = prune(toolList(true), callsUnderFilter(TEXT), "t")
  expect(SeccompList.safeParse(list).success).toBe(true)
  expect(examine(list).filter(({ level }) => level === "error")).toEqual([])
  const entry = (name: string): object | undefined => list.syscalls.find((each) => each.name === name)
  expect(entry("openat")).toMatchObject({ permission: "ALLOW", notes: "2 calls", verified_by_strace: true })
  expect(entry("clone")).toMatchObject({ permission: "CONDITIONAL", notes: "1 call" })
  expect(entry("clone3")).toMatchObject({ permission: "DENY", errno: "ENOSYS" })
  expect(entry("brk")).not.toHaveProperty("verified_by_strace")
  for (const name of ["mount", "socket", "unlink"]) expect(entry(name)).toBeUndefined()
})
