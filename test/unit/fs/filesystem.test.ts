import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { FIRST_VIRTUAL_NODE } from "../../../clawfs/core/brand.ts"
import { E } from "../../../clawfs/core/errno.ts"
import { SetattrValid } from "../../../clawfs/fuse/abi.ts"
import { InodeFlag } from "../../../clawfs/store/inode.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { META } from "../../../clawfs/store/store.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { ROOT, STATUS_TEXT, TestFileSystem, ok, outcome } from "../support/filesystem.ts"

const S_IFIFO = 0o010000
const S_IFCHR = 0o020000
const RESENT = 0x8000_0000
const octal = (mode: number): string => (mode & 0o7777).toString(8)

describe("what is made", () => {
  test("belongs to its maker and has the mode that the umask leaves", () => {
    using fs = new TestFileSystem()
    fs.as({ uid: 1000, gid: 1001 })
    const file = ok(fs.mknod("file", 0o100666, 0o027))
    expect([octal(file.mode), file.uid, file.gid, file.nlink, file.size]).toEqual(["640", 1000, 1001, 1, 0])
    const directory = ok(fs.mkdir("directory", 0o777, 0o022))
    expect([octal(directory.mode), directory.nlink, fs.at("/").nlink]).toEqual(["755", 2, 3])
  })

  test("without a type is a regular file; FIFOs and devices are what was asked for", () => {
    using fs = new TestFileSystem()
    expect(ok(fs.mknod("plain", 0o644)).mode & 0o170000).toBe(0o100000)
    expect(ok(fs.mknod("fifo", S_IFIFO | 0o600)).mode & 0o170000).toBe(S_IFIFO)
    const device = ok(fs.mknod("device", S_IFCHR | 0o600, 0, 0x0103))
    fs.restart()
    expect([fs.at("device").mode & 0o170000, fs.at("device").rdev, device.rdev]).toEqual([
      S_IFCHR,
      0x0103,
      0x0103,
    ])
  })

  test("in a setgid directory gets its group, and directories its setgid bit", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mkdir("shared"))
    ok(fs.setattr(ino, { gid: 500 }))
    ok(fs.setattr(ino, { mode: 0o2775 }))
    fs.as({ uid: 1000, gid: 1001 })
    expect([ok(fs.mknod("shared/file")).gid, octal(ok(fs.mknod("shared/other")).mode)]).toEqual([500, "644"])
    const below = ok(fs.mkdir("shared/below", 0o755))
    expect([below.gid, octal(below.mode)]).toEqual([500, "2755"])
  })

  test("needs a free name of at most 255 bytes in a directory that exists", () => {
    using fs = new TestFileSystem()
    const file = ok(fs.mknod("file")).ino
    const gone = ok(fs.mkdir("gone")).ino
    fs.rmdir("gone")
    const name = Buffer.from("x")
    const creation = { mode: 0o100644, umask: 0, rdev: 0 }
    expect(outcome(fs.mknod("file"))).toBe("EEXIST")
    expect(outcome(fs.mkdir("file"))).toBe("EEXIST")
    expect(outcome(fs.mknod("x".repeat(256)))).toBe("ENAMETOOLONG")
    expect(outcome(fs.mknod("x".repeat(255)))).toBe("OK")
    expect(outcome(fs.fs.mknod(fs.request(file), name, creation))).toBe("ENOTDIR")
    expect(outcome(fs.fs.mknod(fs.request(gone), name, creation))).toBe("ENOENT")
    expect(outcome(fs.fs.mknod(fs.request(4711), name, creation))).toBe("ESTALE")
  })

  test("as a symbolic link is as long as its target", () => {
    using fs = new TestFileSystem()
    const link = ok(fs.symlink("link", "somewhere/else"))
    expect([link.size, octal(link.mode), link.mode & 0o170000]).toEqual([14, "777", 0o120000])
    expect(Buffer.from(ok(fs.fs.readlink(fs.request(link.ino)))).toString()).toBe("somewhere/else")
    expect(outcome(fs.fs.readlink(fs.request(ok(fs.mknod("file")).ino)))).toBe("EINVAL")
  })
})

describe("names", () => {
  test("of one file are counted; the last one takes it along once the kernel lets go", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("a"))
    expect(ok(fs.link("a", "b")).nlink).toBe(2)
    expect([fs.unlink("a"), fs.at("b").ino, fs.at("b").nlink]).toEqual(["OK", ino, 1])
    fs.write(ino, 0, "contents")
    expect(fs.unlink("b")).toBe("OK")
    fs.store.transact(() => undefined)
    expect(fs.read(ino)).toBe("contents")
    fs.fs.forget(ino, 1000)
    fs.store.transact(() => undefined)
    expect([fs.store.inodes.get(ino), fs.store.counters.bytes]).toEqual([undefined, 0])
    expect(brokenInvariants(fs.directory)).toEqual([])
  })

  test("that are unlinked while the kernel holds the file survive a restart with it", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("a"))
    fs.write(ino, 0, "contents")
    fs.unlink("a")
    fs.restart()
    fs.store.transact(() => undefined)
    expect(fs.read(ino)).toBe("contents")
    fs.fs.forget(ino, 1000)
    fs.restart()
    fs.store.transact(() => undefined)
    expect(fs.read(ino)).toBe("ESTALE")
  })

  test("of directories, immutable and nameless files can't be multiplied", () => {
    using fs = new TestFileSystem()
    ok(fs.mkdir("directory"))
    const { ino } = ok(fs.mknod("file"))
    expect(outcome(fs.link("directory", "x"))).toBe("EPERM")
    fs.store.inodes.get(ino)?.setFlag(InodeFlag.IMMUTABLE, true)
    expect(outcome(fs.link("file", "x"))).toBe("EPERM")
    fs.store.inodes.get(ino)?.setFlag(InodeFlag.IMMUTABLE, false)
    fs.unlink("file")
    expect(outcome(fs.fs.link(fs.request(ROOT), ino, Buffer.from("x")))).toBe("ENOENT")
  })

  test("of one file are 65,000 at most", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("file"))
    const inode = fs.store.inodes.get(ino)
    if (inode !== undefined) inode.nlink = 64_999
    expect([ok(fs.link("file", "a")).nlink, outcome(fs.link("file", "b"))]).toEqual([65_000, "EMLINK"])
  })

  test("can be given once to a file that was made without one", () => {
    using fs = new TestFileSystem()
    const made = ok(fs.fs.tmpfile(fs.request(ROOT), { mode: 0o600, umask: 0, rdev: 0 }))
    expect(made.nlink).toBe(0)
    expect(ok(fs.fs.link(fs.request(ROOT), made.ino, Buffer.from("named"))).nlink).toBe(1)
    fs.restart()
    expect(fs.at("named").ino).toBe(made.ino)
    fs.unlink("named")
    expect(outcome(fs.fs.link(fs.request(ROOT), made.ino, Buffer.from("again")))).toBe("ENOENT")
  })

  test("are removed by unlink and rmdir, each of its kind, directories only when empty", () => {
    using fs = new TestFileSystem()
    ok(fs.mkdir("directory"))
    ok(fs.mknod("directory/file"))
    expect([
      fs.unlink("directory"),
      fs.rmdir("directory/file"),
      fs.rmdir("directory"),
      fs.unlink("missing"),
    ]).toEqual(["EISDIR", "ENOTDIR", "ENOTEMPTY", "ENOENT"])
    expect([fs.unlink("directory/file"), fs.rmdir("directory"), fs.at("/").nlink]).toEqual(["OK", "OK", 2])
    expect(brokenInvariants(fs.directory)).toEqual([])
  })

  test(". and .. are looked up as handles need it", () => {
    using fs = new TestFileSystem()
    ok(fs.mkdir("a"))
    ok(fs.mknod("a/file"))
    expect([fs.at("a/.").ino, fs.at("a/..").ino, fs.at("..").ino]).toEqual([fs.at("a").ino, ROOT, ROOT])
    expect(fs.at("a/file/.").ino).toBe(fs.at("a/file").ino)
    expect(() => fs.at("a/file/x")).toThrow("ENOTDIR")
  })
})

test("a file whose row is damaged is listed with all others, and its attributes are an error", () => {
  using fs = new TestFileSystem()
  const inos = ["one", "two", "three"].map((name) => ok(fs.mknod(name)).ino)
  fs.store.settle()
  {
    using db = new Database(join(fs.directory, META))
    db.query<[number]>("UPDATE inode SET uid = uid + 1 WHERE ino = ?").run(inos[1] ?? 0)
  }
  fs.restart()
  const listed = fs.list(ROOT, true).filter(({ name }) => !name.startsWith("."))
  expect(listed.map(({ name, node }) => [name, node]).sort()).toEqual([
    ["one", inos[0]],
    ["three", inos[2]],
    ["two", 0],
  ])
  expect(() => fs.at("two")).toThrow("damaged")
  expect(fs.at("three").ino).toBe(inos[2])
})

describe("lookups that the kernel holds", () => {
  test("grow with every entry that is given out, and with every entry of a plus listing", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("file"))
    expect(fs.env.lookups.get(ino)).toBe(1)
    fs.at("file")
    expect(fs.env.lookups.get(ino)).toBe(2)
    fs.list(ROOT)
    expect(fs.env.lookups.get(ino)).toBe(2)
    expect(fs.list(ROOT, true).find(({ name }) => name === "file")?.node).toBe(ino)
    expect(fs.env.lookups.get(ino)).toBe(3)
    fs.fs.forget(ino, 3)
    expect(fs.env.lookups.get(ino)).toBe(0)
  })

  test("grow once when the request comes again after a kill, whoever answered it", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("file"))
    const request = fs.request(ROOT)
    fs.fs.lookup(request, Buffer.from("file"))
    const before = fs.env.lookups.get(ino)
    fs.restart()
    fs.fs.lookup({ ...request, uniqueHigh: RESENT }, Buffer.from("file"))
    expect(fs.env.lookups.get(ino)).toBe(before)
    fs.fs.lookup(fs.request(ROOT), Buffer.from("file"))
    expect(fs.env.lookups.get(ino)).toBe(before + 1)
  })

  test("are none for a name that does not exist", () => {
    using fs = new TestFileSystem()
    expect(outcome(fs.fs.lookup(fs.request(ROOT), Buffer.from("missing")))).toBe("ENOENT")
    expect(fs.env.lookups.size).toBe(0)
  })
})

describe("a request that was executed by an earlier server", () => {
  test("is answered from its record, with the inode that it made, and no other is", () => {
    using fs = new TestFileSystem()
    const request = fs.request(ROOT)
    const made = ok(fs.fs.mkdir(request, Buffer.from("made"), { mode: 0o755, umask: 0, rdev: 0 }))
    const resent = { ...request, uniqueHigh: RESENT }
    expect(fs.fs.answer(resent, "entry")).toMatchObject({ ino: made.ino })
    fs.restart()
    expect(fs.fs.answer(resent, "entry")).toMatchObject({ ino: made.ino })
    expect(fs.fs.answer({ ...resent, uniqueLow: 4711 }, "entry")).toBeUndefined()
    expect(fs.fs.answer(resent, "status")).toBe(0)
  })
})

describe("a file's size", () => {
  test("is set by truncation, with zeroes where it grows", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("file"))
    fs.write(ino, 0, "contents")
    expect(ok(fs.setattr(ino, { size: 3 })).size).toBe(3)
    expect(ok(fs.setattr(ino, { size: 6 })).size).toBe(6)
    expect(fs.read(ino)).toBe("con\0\0\0")
  })

  test("ends below 2^53, and a directory has none to set", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("file"))
    const MAX = Number.MAX_SAFE_INTEGER
    expect(outcome(fs.setattr(ino, { size: MAX }))).toBe("EFBIG")
    expect(ok(fs.setattr(ino, { size: MAX - 1 })).size).toBe(MAX - 1)
    expect([fs.write(ino, MAX - 2, "xx"), fs.write(ino, MAX, "x"), fs.write(ino, MAX - 2, "x")]).toEqual([
      "EFBIG",
      "EFBIG",
      "OK",
    ])
    fs.restart()
    expect(fs.at("file").size).toBe(MAX - 1)
    expect(outcome(fs.setattr(ROOT, { size: 0 }))).toBe("EISDIR")
    expect(outcome(fs.setattr(ok(fs.mknod("fifo", S_IFIFO)).ino, { size: 0 }))).toBe("EINVAL")
  })

  test("may be the largest there is: bytes are read from where they were written", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("file"))
    const end = Number.MAX_SAFE_INTEGER - 1
    ok(fs.setattr(ino, { size: end }))
    expect(fs.write(ino, end - 1, "x")).toBe("OK")
    expect(JSON.stringify(fs.read(ino, { offset: end - 3 }))).toBe(JSON.stringify("\0\0x"))
  })

  test("that stays the same stamps nothing", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("file"))
    ok(fs.setattr(ino, { mtime: 5, ctime: 6 }))
    expect(ok(fs.setattr(ino, { size: 0 }))).toMatchObject({ mtime: 5, ctime: 6 })
    expect(ok(fs.setattr(ino, { size: 1 })).mtime).toBeGreaterThan(6)
  })
})

describe("times", () => {
  test("are set one by one, before 1970 too, and now where that was asked for", () => {
    using fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("file"))
    const set = ok(fs.setattr(ino, { mtime: -7, mtimeNanos: 8, atime: 9, atimeNanos: 10 }))
    expect(set).toMatchObject({ mtime: -7, mtimeNanos: 8, atime: 9, atimeNanos: 10 })
    fs.restart()
    expect(fs.at("file")).toMatchObject({ mtime: -7, mtimeNanos: 8, atime: 9, atimeNanos: 10 })
    const touched = ok(fs.setattr(ino, { mtime: 1 }, SetattrValid.MTIME_NOW))
    expect([touched.mtime > 1_700_000_000, touched.atime]).toEqual([true, 9])
  })
})

describe("a protected file", () => {
  const withFlag = (flag: number): { fs: TestFileSystem; ino: number } => {
    const fs = new TestFileSystem()
    const { ino } = ok(fs.mknod("file"))
    fs.write(ino, 0, "contents")
    fs.store.inodes.get(ino)?.setFlag(flag, true)
    return { fs, ino }
  }

  test("that is append-only takes bytes at its end alone", () => {
    const { fs, ino } = withFlag(InodeFlag.APPEND)
    using _ = fs
    expect([fs.write(ino, 0, "x"), fs.write(ino, 7, "x"), fs.write(ino, 8, "!")]).toEqual([
      "EPERM",
      "EPERM",
      "OK",
    ])
    expect(outcome(fs.setattr(ino, { size: 0 }))).toBe("EPERM")
    expect(outcome(fs.setattr(ino, { mode: 0 }))).toBe("EPERM")
    expect(outcome(fs.setattr(ino, { mtime: 1 }))).toBe("EPERM")
    expect(outcome(fs.setattr(ino, { mtime: 1 }, SetattrValid.MTIME_NOW))).toBe("OK")
    expect([fs.read(ino), fs.unlink("file")]).toEqual(["contents!", "EPERM"])
  })

  test("that is immutable stays as it is", () => {
    const { fs, ino } = withFlag(InodeFlag.IMMUTABLE)
    using _ = fs
    expect([
      fs.write(ino, 8, "x"),
      fs.unlink("file"),
      outcome(fs.setattr(ino, { mtime: 1 }, SetattrValid.MTIME_NOW)),
    ]).toEqual(Array(3).fill("EPERM"))
    expect(outcome(fs.fs.fallocate(fs.request(ino), 3, 0, 4))).toBe("EPERM")
    const range = { offset: 0, target: ino, targetOffset: 100, length: 4 }
    expect(outcome(fs.fs.copyFileRange(fs.request(ino), range as never))).toBe("EPERM")
    expect(fs.read(ino)).toBe("contents")
  })

  test("can't be opened in a way that it would have to refuse later", () => {
    const O_WRONLY = 1
    const O_APPEND = 0o2000
    const O_TRUNC = 0o1000
    const { fs, ino } = withFlag(InodeFlag.APPEND)
    using _ = fs
    const open = (flags: number): string => outcome(fs.fs.open(fs.request(ino), flags, false))
    expect([open(0), open(O_WRONLY), open(O_WRONLY | O_APPEND), open(O_WRONLY | O_APPEND | O_TRUNC)]).toEqual(
      ["OK", "EPERM", "OK", "EPERM"],
    )
  })
})

describe("the virtual file of the root", () => {
  test("shows its text, is not listed, and can't be changed", () => {
    using fs = new TestFileSystem()
    const status = fs.at(".status")
    expect([status.ino >= FIRST_VIRTUAL_NODE, octal(status.mode), status.size]).toEqual([
      true,
      "444",
      STATUS_TEXT.length,
    ])
    expect([
      fs.read(status.ino),
      fs.read(status.ino, { offset: 4, size: 2 }),
      fs.read(status.ino, { offset: 99 }),
    ]).toEqual([STATUS_TEXT, STATUS_TEXT.slice(4, 6), ""])
    expect(fs.names(ROOT)).toEqual([])
    expect([
      fs.write(status.ino, 0, "x"),
      outcome(fs.setattr(status.ino, { size: 0 })),
      fs.unlink(".status"),
    ]).toEqual(Array(3).fill("EPERM"))
    expect([outcome(fs.mknod(".status")), outcome(fs.mkdir(".status"))]).toEqual(["EEXIST", "EEXIST"])
  })

  test("is a new one for every lookup, and lives until the kernel forgets it", () => {
    using fs = new TestFileSystem()
    const [first, second] = [fs.at(".status").ino, fs.at(".status").ino]
    expect(first).not.toBe(second)
    fs.fs.forget(first, 1)
    expect([fs.read(first), fs.read(second)]).toEqual(["EPERM", STATUS_TEXT])
  })
})

describe("everything that takes an inode", () => {
  test("answers ESTALE for one that never was", () => {
    using fs = new TestFileSystem()
    const q = fs.request(4711)
    const name = Buffer.from("name")
    const answers: unknown[] = [
      fs.fs.lookup(q, name),
      fs.fs.getattr(q),
      fs.fs.readlink(q),
      fs.fs.unlink(q, name),
      fs.fs.rmdir(q, name),
      fs.fs.symlink(q, name, name),
      fs.fs.tmpfile(q, { mode: 0, umask: 0, rdev: 0 }),
      fs.fs.open(q, 0, false),
      fs.fs.write(q, 0, name, 0),
      fs.fs.fallocate(q, 0, 0, 1),
      fs.fs.lseek(q, 0, 3),
      fs.fs.listxattr(q),
      fs.fs.ioctl(q, { flags: 0, command: 0x80086601, inSize: 0, outSize: 8 }, name),
    ]
    expect(answers).toEqual(answers.map(() => E.ESTALE))
  })
})

test("statfs counts what the disk has and what the files take", () => {
  using fs = new TestFileSystem()
  const before = ok(fs.fs.statfs(fs.request(ROOT)))
  fs.write(ok(fs.mknod("file")).ino, 0, Buffer.alloc(1 << 20))
  const after = ok(fs.fs.statfs(fs.request(ROOT)))
  expect(before.filesFree - after.filesFree).toBe(1)
  expect(before.blocksFree - after.blocksFree).toBe(256)
  expect([after.nameMax, after.blocks === before.blocks]).toEqual([255, true])
})
