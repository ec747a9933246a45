import { describe, expect, test } from "vitest"
import { bug, present, unreachable } from "../../../clawfs/core/assert.ts"
import { E, errnoName } from "../../../clawfs/core/errno.ts"
import {
  Fault,
  SysFault,
  describe as inWords,
  errnoOfThrown,
  type FaultKind,
} from "../../../clawfs/core/fault.ts"

const expected: Record<FaultKind, string> = {
  "not-found": "ENOENT",
  exists: "EEXIST",
  "not-empty": "ENOTEMPTY",
  invalid: "EINVAL",
  "name-too-long": "ENAMETOOLONG",
  denied: "EACCES",
  "read-only": "EROFS",
  unsupported: "EOPNOTSUPP",
  "no-space": "ENOSPC",
  corrupt: "EIO",
  busy: "EBUSY",
  interrupted: "EINTR",
  timeout: "ETIMEDOUT",
  locked: "ENOKEY",
  io: "EIO",
  bug: "EIO",
}
const named = (errno: number): string => (errno === E.EOPNOTSUPP ? "EOPNOTSUPP" : errnoName(errno))

describe("what a program on the mount sees", () => {
  test.each(Object.entries(expected))("a fault of kind %s is %s", (kind, errno) => {
    expect(named(errnoOfThrown(new Fault(kind as FaultKind, "x")))).toBe(errno)
  })

  test("a full disk below the store is ENOSPC, whoever noticed it", () => {
    expect(errnoOfThrown(Object.assign(new Error("x"), { code: "ENOSPC" }))).toBe(E.ENOSPC)
    expect(errnoOfThrown(Object.assign(new Error("x"), { code: "EDQUOT" }))).toBe(E.ENOSPC)
  })

  test("anything else that was thrown is EIO", () => {
    const thrown = [new Error("x"), new TypeError("x"), Object.assign(new Error("x"), { code: "EACCES" })]
    for (const each of [...thrown, "text", 7, undefined, null, {}]) expect(errnoOfThrown(each)).toBe(E.EIO)
  })
})

describe("a failed system call", () => {
  test("is of the kind that its errno means, keeps the number and names the call", () => {
    const kinds: [errno: (typeof E)[keyof typeof E], kind: FaultKind][] = [
      [E.ENOENT, "not-found"],
      [E.EPERM, "denied"],
      [E.EACCES, "denied"],
      [E.ENOSPC, "no-space"],
      [E.EROFS, "read-only"],
      [E.EBUSY, "busy"],
      [E.ENOSYS, "unsupported"],
      [E.ENXIO, "io"],
      [E.EIO, "io"],
    ]
    for (const [errno, kind] of kinds) {
      const fault = new SysFault("mount", errno, errnoName(errno))
      expect(fault.kind).toBe(kind)
      expect(fault.errno).toBe(errno)
      expect(fault.message).toBe(`mount: ${errnoName(errno)}`)
      expect(fault).toBeInstanceOf(Fault)
    }
  })
})

describe("a fault", () => {
  test("keeps its cause and its hint, and has neither by itself", () => {
    const cause = new Error("below")
    const fault = new Fault("io", "above", { cause, hint: "look there" })
    expect([fault.cause, fault.hint, fault.name]).toEqual([cause, "look there", "Fault"])
    const bare = new Fault("io", "above")
    expect(bare.hint).toBeUndefined()
    expect("cause" in bare).toBe(false)
  })

  test("is described by its message, anything else as text", () => {
    expect(inWords(new Fault("io", "the disk is gone"))).toBe("the disk is gone")
    expect(inWords("text")).toBe("text")
    expect(inWords(undefined)).toBe("undefined")
  })
})

describe("a broken invariant", () => {
  test("throws a fault of kind bug", () => {
    const kindOf = (run: () => unknown): string => {
      try {
        run()
      } catch (thrown) {
        return thrown instanceof Fault ? thrown.kind : "no fault"
      }
      return "nothing thrown"
    }
    expect(kindOf(() => bug("x"))).toBe("bug")
    expect(kindOf(() => unreachable("x" as never))).toBe("bug")
    expect(kindOf(() => present(undefined, "x"))).toBe("bug")
    expect(kindOf(() => present(null, "x"))).toBe("bug")
  })

  test("0, false and the empty string are present", () => {
    expect([present(0, "x"), present(false, "x"), present("", "x")]).toEqual([0, false, ""])
  })
})
