/** Lists of system calls, and the programs made of them. */
import { beforeEach, describe, expect, test } from "vitest"
import { compile, examine } from "../../../clawfs/runner/seccomp.ts"
import { toolList } from "../../../clawfs/runner/seccomp-list.ts"
import { hasLibseccomp } from "../../../clawfs/sys/libseccomp.ts"
import { SeccompList } from "../../../schema/seccomp.ts"

const named = (list: SeccompList): Set<string> =>
  new Set(list.syscalls.filter(({ permission }) => permission !== "DENY").map(({ name }) => name))

test("the sandbox's lists are lists of P1.2", () => {
  for (const maySpawn of [true, false])
    expect(SeccompList.parse(toolList(maySpawn))).toEqual(toolList(maySpawn))
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
