/** Lists of system calls, and the programs made of them. */
import { beforeEach, describe, expect, test } from "vitest"
import { compile } from "../../../clawfs/seccomp/compile.ts"
import { examine } from "../../../clawfs/seccomp/examine.ts"
import { toolList } from "../../../clawfs/seccomp/tool-list.ts"
import { LISTS } from "../../../clawfs/seccomp/lists.ts"
import { hasLibseccomp } from "../../../clawfs/sys/libseccomp.ts"
import { SeccompList } from "../../../schema/seccomp.ts"

const named = (list: SeccompList): Set<string> =>
  new Set(list.syscalls.filter(({ permission }) => permission !== "DENY").map(({ name }) => name))

const called = (name: string): SeccompList => {
  const list = LISTS.get(name)
  if (list === undefined) throw new Error(`there is no list ${name}`)
  return list()
}

test.each([...LISTS.keys()])("%s is a list of P1.2, and each of its rows is there once", (name) => {
  const list = called(name)
  expect(SeccompList.parse(list)).toEqual(list)
  const rows = list.syscalls.map((row) => JSON.stringify(row))
  expect(rows.filter((row, at) => rows.indexOf(row) !== at)).toEqual([])
})

test("the daemon may do what its tools may, and none of what nobody in it does", () => {
  const daemon = named(called("daemon"))
  expect([...named(toolList(true))].filter((name) => !daemon.has(name))).toEqual([])
  const never =
    "io_uring_setup kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff settimeofday clock_settime ptrace process_vm_readv process_vm_writev userfaultfd open_by_handle_at quotactl iopl ioperm syslog personality acct"
  expect(never.split(" ").filter((name) => daemon.has(name))).toEqual([])
})

test.each(["launcher", "extractor"])("%s starts nothing, changes no file and signals nobody else", (name) => {
  const list = called(name)
  const never =
    "execve execveat fork vfork kill pidfd_open unlink unlinkat rename renameat2 mkdir mkdirat link symlink chmod fchmod truncate ftruncate fallocate bind listen accept4 ptrace mount unshare setns bpf keyctl io_uring_setup creat openat2"
  expect(never.split(" ").filter((call) => named(list).has(call))).toEqual([])
  const opens = list.syscalls.filter((row) => row.name === "open" || row.name === "openat")
  expect(opens.map(({ permission }) => permission)).toEqual(["CONDITIONAL", "CONDITIONAL"])
})

test("none of what leads out of a sandbox is on them", () => {
  for (const name of [
    "io_uring_setup",
    "keyctl",
    "bpf",
    "mount",
    "unshare",
    "ptrace",
    "setuid",
    "mknod",
    "chroot",
    "clone3",
  ])
    for (const maySpawn of [true, false])
      expect([name, named(toolList(maySpawn)).has(name)]).toEqual([name, false])
  expect([named(toolList(false)).has("fork"), named(toolList(true)).has("fork")]).toEqual([false, true])
})

test("masked_eq without a mask is an error, as is a condition without one", () => {
  const list = toolList(true)
  const with_ = (entry: object): boolean => SeccompList.safeParse({ ...list, syscalls: [entry] }).success
  const filter = { arg_index: 0, operator: "masked_eq", value: 1 }
  const conditions = (argument_filter: object): object => ({ description: "x", argument_filter })
  expect(with_({ name: "read", permission: "CONDITIONAL", conditions: conditions(filter) })).toBe(false)
  expect(
    with_({ name: "read", permission: "CONDITIONAL", conditions: conditions({ ...filter, mask: 1 }) }),
  ).toBe(true)
  expect(with_({ name: "read", permission: "CONDITIONAL" })).toBe(false)
})

describe.skipIf(!hasLibseccomp)("compiled", () => {
  beforeEach(() => expect(hasLibseccomp).toBe(true))

  test("the sandbox's lists are whole on this architecture, short, and without objection", () => {
    for (const maySpawn of [true, false]) {
      const { program, instructions, unknown } = compile(toolList(maySpawn))
      expect([program.length, unknown, examine(toolList(maySpawn))]).toEqual([instructions * 8, [], []])
      expect(instructions).toBeLessThan(400)
    }
  })

  test.each([...LISTS.keys()])("%s has nothing that `clawfs seccomp check` objects to", (name) => {
    expect(examine(called(name)).filter(({ level }) => level === "error")).toEqual([])
  })

  test("a list that calls itself a tool's is judged as one", () => {
    const { metadata, ...rest } = called("daemon")
    const messages = examine({ ...rest, metadata: { ...metadata, target_process: "tool" } })
    expect(messages.map(({ message }) => message)).toContain('"mount" leads out of a sandbox')
  })

  test("ports, wide comparisons and contradictions are named", () => {
    const list = toolList(true)
    const ioctl = {
      name: "ioctl",
      permission: "CONDITIONAL" as const,
      conditions: {
        description: "TCGETS",
        argument_filter: { arg_index: 1, operator: "eq" as const, value: 0x5401 },
      },
    }
    const syscalls = list.syscalls.filter(({ name }) => name !== "ioctl")
    const messages = examine({
      ...list,
      syscalls: [...syscalls, ioctl, { name: "read", permission: "DENY" }],
    }).map(({ message }) => message)
    expect(messages).toEqual([
      '"read" is both allowed and denied',
      '"ioctl": compare the low 32 bits only (masked_eq): the kernel ignores the others',
    ])
  })
})
