import { describe, expect, test } from "vitest"
import { errnoName, isErrno } from "../../../clawfs/core/errno.ts"
import { InodeFlag } from "../../../clawfs/store/inode.ts"
import { aclBytes } from "../support/acl.ts"
import { ROOT, TestFileSystem, ok, outcome } from "../support/filesystem.ts"

const CREATE = 1
const REPLACE = 2
const KILL_SGID = 1
const ACCESS = "system.posix_acl_access"
const DEFAULT = "system.posix_acl_default"
const EXTENDED = "u::rwx u:1000:rw- g::r-x m::rw- o::r--"

class Attributes implements Disposable {
  readonly fs = new TestFileSystem()
  readonly file: number = ok(this.fs.mknod("file")).ino
  readonly directory: number = ok(this.fs.mkdir("directory")).ino

  set(name: string, value: string | Buffer, { node = this.file, flags = 0, acl = 0 } = {}): string {
    const bytes = Buffer.from(name, "latin1")
    return outcome(this.fs.fs.setxattr(this.fs.request(node), bytes, Buffer.from(value), flags, acl))
  }

  get(name: string, node: number = this.file): string {
    const value = this.fs.fs.getxattr(this.fs.request(node), Buffer.from(name, "latin1"))
    return isErrno(value) ? errnoName(value) : Buffer.from(value).toString("latin1")
  }

  list(node: number = this.file): string[] {
    return Buffer.from(ok(this.fs.fs.listxattr(this.fs.request(node))))
      .toString("latin1")
      .split("\0")
      .slice(0, -1)
  }

  remove(name: string, node: number = this.file): string {
    return outcome(this.fs.fs.removexattr(this.fs.request(node), Buffer.from(name, "latin1")))
  }

  mode(node: number = this.file): string {
    return (ok(this.fs.fs.getattr(this.fs.request(node))).mode & 0o7777).toString(8)
  }

  [Symbol.dispose](): void {
    this.fs[Symbol.dispose]()
  }
}

describe("an extended attribute", () => {
  test("is kept with any bytes, replaced, listed and removed", () => {
    using a = new Attributes()
    const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    expect(a.set("user.a", value)).toBe("OK")
    expect(a.get("user.a")).toBe(value.toString("latin1"))
    expect(a.set("user.a", "")).toBe("OK")
    expect(a.get("user.a")).toBe("")
    expect(a.set("user.b", "b")).toBe("OK")
    expect(a.list()).toEqual(["user.a", "user.b"])
    expect(a.remove("user.a")).toBe("OK")
    expect([a.get("user.a"), a.list()]).toEqual(["ENODATA", ["user.b"]])
  })

  test("survives a restart and goes with its file", () => {
    using a = new Attributes()
    a.set("user.a", "value")
    a.fs.restart()
    expect(a.get("user.a")).toBe("value")
    expect(a.get("user.a", a.directory)).toBe("ENODATA")
  })

  test("is made or replaced only, where the program asks for that", () => {
    using a = new Attributes()
    expect(a.set("user.a", "1", { flags: REPLACE })).toBe("ENODATA")
    expect(a.set("user.a", "1", { flags: CREATE })).toBe("OK")
    expect(a.set("user.a", "2", { flags: CREATE })).toBe("EEXIST")
    expect(a.get("user.a")).toBe("1")
    expect(a.set("user.a", "2", { flags: REPLACE })).toBe("OK")
    expect(a.get("user.a")).toBe("2")
  })

  test("that is missing is ENODATA, to read and to remove", () => {
    using a = new Attributes()
    expect([a.get("user.a"), a.remove("user.a"), a.list()]).toEqual(["ENODATA", "ENODATA", []])
  })

  test.each([
    ["user.a", "OK"],
    ["trusted.a", "OK"],
    ["security.a", "OK"],
    [`user.${"x".repeat(250)}`, "OK"],
    [`user.${"x".repeat(251)}`, "ERANGE"],
    ["user.", "EINVAL"],
    ["trusted.", "EINVAL"],
    ["a", "EOPNOTSUPP"],
    ["User.a", "EOPNOTSUPP"],
    ["system.a", "EOPNOTSUPP"],
    ["", "EOPNOTSUPP"],
  ])("named %s is %s", (name, expected) => {
    using a = new Attributes()
    const same = (got: string): boolean =>
      got === expected || (expected === "EOPNOTSUPP" && got === "ENOTSUP")
    expect(same(a.set(name, "x"))).toBe(true)
    if (expected !== "OK") expect([same(a.get(name)), same(a.remove(name))]).toEqual([true, true])
  })

  test("in trusted. is listed for root alone", () => {
    using a = new Attributes()
    a.set("trusted.a", "x")
    a.set("user.a", "x")
    expect(a.list()).toEqual(["trusted.a", "user.a"])
    a.fs.as({ uid: 1000 })
    expect(a.list()).toEqual(["user.a"])
  })

  test("of an immutable or append-only file can't be changed", () => {
    using a = new Attributes()
    a.set("user.a", "x")
    for (const flag of [InodeFlag.IMMUTABLE, InodeFlag.APPEND]) {
      a.fs.store.inodes.get(a.file)?.setFlag(flag, true)
      expect([a.set("user.a", "y"), a.remove("user.a"), a.get("user.a")]).toEqual(["EPERM", "EPERM", "x"])
      a.fs.store.inodes.get(a.file)?.setFlag(flag, false)
    }
    expect(a.set("user.a", "y")).toBe("OK")
  })

  test("that is changed moves the change time and not the modification time", () => {
    using a = new Attributes()
    ok(a.fs.setattr(a.file, { mtime: 5, ctime: 5 }))
    a.set("user.a", "x")
    const { mtime, ctime } = ok(a.fs.fs.getattr(a.fs.request(a.file)))
    expect([mtime, ctime > 5]).toEqual([5, true])
  })

  test("of a file that is gone is ESTALE", () => {
    using a = new Attributes()
    expect([a.set("user.a", "x", { node: 4711 }), a.get("user.a", 4711), a.remove("user.a", 4711)]).toEqual(
      Array(3).fill("ESTALE"),
    )
  })
})

describe("an access ACL", () => {
  test("sets the permission bits, and is kept when it says more than they do", () => {
    using a = new Attributes()
    expect(a.set(ACCESS, aclBytes(EXTENDED))).toBe("OK")
    expect([a.mode(), a.get(ACCESS)]).toEqual(["764", aclBytes(EXTENDED).toString("latin1")])
    expect(a.list()).toEqual([ACCESS])
  })

  test("that says no more than a mode is not kept, and replaces one that did", () => {
    using a = new Attributes()
    a.set(ACCESS, aclBytes(EXTENDED))
    expect(a.set(ACCESS, aclBytes("u::rw- g::--- o::---"))).toBe("OK")
    expect([a.mode(), a.get(ACCESS), a.list()]).toEqual(["600", "ENODATA", []])
  })

  test("follows chmod: the mask takes the group bits", () => {
    using a = new Attributes()
    a.set(ACCESS, aclBytes(EXTENDED))
    ok(a.fs.setattr(a.file, { mode: 0o4710 }))
    expect(a.mode()).toBe("4710")
    expect(a.get(ACCESS)).toBe(aclBytes("u::rwx u:1000:rw- g::r-x m::--x o::---").toString("latin1"))
  })

  test("clears setgid where the kernel asks for it, and only there", () => {
    using a = new Attributes()
    ok(a.fs.setattr(a.file, { mode: 0o2755 }))
    a.set(ACCESS, aclBytes(EXTENDED))
    expect(a.mode()).toBe("2764")
    a.set(ACCESS, aclBytes(EXTENDED), { acl: KILL_SGID })
    expect(a.mode()).toBe("764")
  })

  test("of broken bytes is EINVAL and changes nothing", () => {
    using a = new Attributes()
    const before = a.mode()
    expect(a.set(ACCESS, "rubbish")).toBe("EINVAL")
    expect([a.mode(), a.get(ACCESS)]).toEqual([before, "ENODATA"])
  })

  test("is removed without an error, whether there is one or not", () => {
    using a = new Attributes()
    expect(a.remove(ACCESS)).toBe("OK")
    a.set(ACCESS, aclBytes(EXTENDED))
    expect([a.remove(ACCESS), a.get(ACCESS), a.list()]).toEqual(["OK", "ENODATA", []])
  })
})

describe("a default ACL", () => {
  test("belongs to directories alone", () => {
    using a = new Attributes()
    expect(a.set(DEFAULT, aclBytes(EXTENDED))).toBe("EACCES")
    expect(a.set(DEFAULT, aclBytes(EXTENDED), { node: a.directory })).toBe("OK")
    expect(a.mode(a.directory)).toBe("755")
  })

  test("takes the place of the umask for what is made there, and goes on to directories", () => {
    using a = new Attributes()
    a.set(DEFAULT, aclBytes(EXTENDED), { node: a.directory })
    const file = ok(a.fs.mknod("directory/file", 0o100666, 0o077)).ino
    expect([a.mode(file), a.get(DEFAULT, file)]).toEqual(["664", "ENODATA"])
    expect(a.get(ACCESS, file)).toBe(aclBytes("u::rw- u:1000:rw- g::r-x m::rw- o::r--").toString("latin1"))
    const below = ok(a.fs.mkdir("directory/below", 0o777, 0o077)).ino
    expect([a.mode(below), a.get(DEFAULT, below)]).toEqual(["764", aclBytes(EXTENDED).toString("latin1")])
    a.fs.restart()
    expect(a.get(DEFAULT, below)).toBe(aclBytes(EXTENDED).toString("latin1"))
  })

  test("that is removed gives the umask its say again", () => {
    using a = new Attributes()
    a.set(DEFAULT, aclBytes(EXTENDED), { node: a.directory })
    expect(a.remove(DEFAULT, a.directory)).toBe("OK")
    expect(a.mode(ok(a.fs.mknod("directory/file", 0o100666, 0o027)).ino)).toBe("640")
  })

  test("does not count for symbolic links", () => {
    using a = new Attributes()
    a.set(DEFAULT, aclBytes(EXTENDED), { node: a.directory })
    const link = ok(a.fs.symlink("directory/link", "target"))
    expect([a.mode(link.ino), a.list(link.ino)]).toEqual(["777", []])
  })
})

test("the root has attributes like every other directory", () => {
  using a = new Attributes()
  expect(a.set("user.a", "x", { node: ROOT })).toBe("OK")
  a.fs.restart()
  expect(a.list(ROOT)).toEqual(["user.a"])
})
