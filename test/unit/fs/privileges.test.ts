import { spawn } from "node:child_process"
import { describe, expect, test } from "vitest"
import { dropPrivileges } from "../../../clawfs/fs/privileges.ts"
import { Inode, S_IFDIR, S_IFREG } from "../../../clawfs/store/inode.ts"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { requirePrograms, skipIf } from "../support/requirements.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { headerOf } from "../support/operations.ts"

const OWNER = 1000
const GROUP = 2000
/** No process has this number: pid_max ends at 2^22. */
const NOBODY = 2 ** 22 + 1

interface Caller {
  readonly uid: number
  readonly gid: number
  readonly pid?: number
}

const stranger: Caller = { uid: OWNER, gid: 3000, pid: NOBODY }
const member: Caller = { uid: OWNER, gid: GROUP, pid: NOBODY }
const root: Caller = { uid: 0, gid: 0, pid: NOBODY }

function after(mode: number, caller: Caller, type = S_IFREG): string {
  const inode = new Inode(7 as NodeId, type | mode, 1, OWNER, GROUP, 0)
  dropPrivileges(inode, headerOf({ pid: NOBODY, ...caller }))
  return (inode.mode & 0o7777).toString(8)
}

describe("what a write by somebody without CAP_FSETID takes away (fs/attr.c, setattr_should_drop_suidgid)", () => {
  test.each<[mode: number, who: string, caller: Caller, expected: string]>([
    [0o4755, "a stranger", stranger, "755"],
    [0o4755, "a member of the group", member, "755"],
    [0o6755, "a member of the group", member, "755"],
    // With group execution the bit is a privilege: it goes whoever writes.
    [0o2755, "a stranger", stranger, "755"],
    [0o2755, "a member of the group", member, "755"],
    [0o2755, "root", root, "755"],
    // Without it, it is a mark for record locking: members may keep it.
    [0o2745, "a stranger", stranger, "745"],
    [0o2745, "a member of the group", member, "2745"],
    [0o2745, "root", root, "2745"],
    [0o1755, "a stranger", stranger, "1755"],
    [0o755, "a stranger", stranger, "755"],
  ])("mode %o written by %s", (mode, _who, caller, expected) => {
    expect(after(mode, caller)).toBe(expected)
  })

  test("a directory keeps its bits", () => {
    expect(after(0o6755, stranger, S_IFDIR)).toBe("6755")
  })

  test("a supplementary group counts as membership", async (context) => {
    skipIf(context, requirePrograms("setpriv"), process.getuid?.() === 0 ? undefined : "not root")
    const child = spawn("setpriv", ["--groups", `5,${GROUP}`, "sh", "-c", "echo ready; read line"])
    await new Promise((resolve) => child.stdout.once("data", resolve))
    expect(after(0o2745, { ...stranger, pid: child.pid ?? 0 })).toBe("2745")
    child.stdin.end()
    await new Promise((resolve) => child.once("exit", resolve))
    // A caller that is gone can't prove anything.
    expect(after(0o2745, { ...stranger, pid: child.pid ?? 0 })).toBe("745")
  })
})

describe("chown", () => {
  const modeAfter = (mode: number, change: object, caller: Caller): string => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.as({ ...root }).mknod("file", S_IFREG | mode))
    ok(fs.setattr(ino, { uid: OWNER, gid: GROUP }))
    ok(fs.setattr(ino, { mode }))
    const { mode: got } = ok(fs.as(caller).setattr(ino, change))
    return (got & 0o7777).toString(8)
  }

  test("takes setuid and an executable setgid away", () => {
    expect(modeAfter(0o6755, { gid: 2001 }, member)).toBe("755")
    expect(modeAfter(0o6755, { uid: 5 }, root)).toBe("755")
  })

  test("leaves the other bits", () => {
    expect(modeAfter(0o1751, { uid: 5, gid: 6 }, root)).toBe("1751")
  })

  test("together with chmod gives what chmod says", () => {
    expect(modeAfter(0o755, { uid: 5, mode: 0o4711 }, root)).toBe("4711")
  })

  test("judges membership by the group that the file had, as the kernel does", () => {
    // The owner is in the new group and not in the old one: the old bit was never his to keep.
    expect(modeAfter(0o2640, { gid: 3000 }, stranger)).toBe("640")
  })
})
