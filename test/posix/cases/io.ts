/** read, write and their positioned forms: holes, ends, large files, bad arguments. */
import { O, SEEK } from "../abi.ts"
import type { Case } from "../check.ts"

const BAD_POINTERS = [1, 0x7ffffffff000]
const MAX_OFFSET = 2n ** 63n - 1n

export const cases: readonly Case[] = [
  {
    name: "what was written is read back, across every boundary",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      for (const boundary of [512, 4096, 16384, 65536, 131072, 1 << 20, 2 ** 31, 2 ** 32, 2 ** 33]) {
        const text = `before|behind ${boundary}`
        t.equal(t.ok(t.root.pwrite(fd, text, boundary - 6)), text.length, "bytes written")
        t.equal(t.ok(t.root.pread(fd, 100, boundary - 6)), text, "content")
        t.equal(t.lstat("x").size, boundary - 6 + text.length, "size")
      }
      t.equal(t.ok(t.root.pread(fd, 12, 4090)), "before|behin", "content of an early boundary")
      t.equal(t.ok(t.root.pread(fd, 4, 200_000)), "\0\0\0\0", "content of a hole")
    },
  },
  {
    name: "a small file grows into a large one and shrinks again, always with its content",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      let content = ""
      for (let size = 1; size <= 1 << 17; size *= 2) {
        const part = String.fromCharCode(97 + (Math.log2(size) % 26)).repeat(size)
        t.ok(t.root.write(fd, part))
        content += part
        t.equal(t.ok(t.root.pread(fd, 100, Math.max(0, content.length - 50))), content.slice(-50), "end")
        t.equal(t.ok(t.root.pread(fd, 50, 0)), content.slice(0, 50), "beginning")
      }
      for (let size = 1 << 16; size >= 1; size >>= 1) {
        t.ok(t.root.ftruncate(fd, size))
        t.equal(
          t.ok(t.root.pread(fd, 100, Math.max(0, size - 50))),
          content.slice(Math.max(0, size - 50), size),
          "end",
        )
      }
    },
  },
  {
    name: "overwriting a part changes that part only",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      const size = 150_000
      t.ok(t.root.pfill(fd, 0x2e, size, 0))
      for (const [at, length] of [
        [0, 1],
        [4090, 12],
        [16383, 2],
        [65000, 3000],
        [131071, 2],
        [149_999, 1],
      ] as const) {
        t.ok(t.root.pfill(fd, 0x23, length, at))
        const from = Math.max(0, at - 2)
        const want =
          ".".repeat(at - from) + "#".repeat(length) + "..".slice(0, Math.min(2, size - at - length))
        t.equal(t.ok(t.root.pread(fd, want.length, from)), want, "content around the write")
      }
      t.equal(t.lstat("x").size, size, "size")
    },
  },
  {
    name: "reading at and behind the end gives nothing, reading across it what there is",
    run: (t) => {
      t.file("x", { content: "0123456789" })
      const fd = t.ok(t.root.open("x"))
      t.equal(t.ok(t.root.pread(fd, 10, 7)), "789", "bytes across the end")
      for (const at of [10, 11, 1 << 20, 2 ** 40])
        t.equal(t.ok(t.root.pread(fd, 10, at)), "", `bytes at ${at}`)
      t.equal(t.ok(t.root.pread(fd, 0, 0)), "", "no bytes")
      t.ok(t.root.lseek(fd, 100))
      t.equal(t.ok(t.root.read(fd, 10)), "", "bytes behind the end")
      t.equal(t.ok(t.root.lseek(fd, 0, SEEK.CUR)), 100, "offset after an empty read")
    },
  },
  {
    name: "writing nothing changes nothing, not even behind the end",
    run: (t) => {
      t.file("x", { content: "content" })
      const before = t.lstat("x")
      const fd = t.ok(t.root.open("x", O.RDWR))
      t.tick()
      t.equal(t.ok(t.root.pwrite(fd, "", 0)), 0, "bytes written")
      t.equal(t.ok(t.root.pwrite(fd, "", 1000)), 0, "bytes written")
      const after = t.lstat("x")
      t.equal(
        `${after.size} ${after.mtime} ${after.ctime}`,
        `7 ${before.mtime} ${before.ctime}`,
        "size and times",
      )
    },
  },
  {
    name: "bad pointers are EFAULT; what was there stays",
    run: (t) => {
      t.file("x", { content: "content" })
      const fd = t.ok(t.root.open("x", O.RDWR))
      for (const pointer of BAD_POINTERS) {
        t.fails("EFAULT", t.root.call("read", [fd, pointer, 7]))
        t.fails("EFAULT", t.root.call("pread64", [fd, pointer, 7, 0]))
        t.fails("EFAULT", t.root.call("write", [fd, pointer, 7]))
        t.fails("EFAULT", t.root.call("pwrite64", [fd, pointer, 7, 0]))
      }
      t.equal(t.ok(t.root.pread(fd, 9, 0)), "content", "content")
      t.equal(t.ok(t.root.lseek(fd, 0, SEEK.CUR)), 0, "offset")
    },
  },
  {
    name: "negative offsets are EINVAL, bad descriptors EBADF",
    run: (t) => {
      t.file("x", { content: "content" })
      const fd = t.ok(t.root.open("x", O.RDWR))
      t.fails("EINVAL", t.root.pread(fd, 1, -1))
      t.fails("EINVAL", t.root.pwrite(fd, "x", -1))
      for (const bad of [-1, 9999]) {
        t.fails("EBADF", t.root.read(bad, 1))
        t.fails("EBADF", t.root.write(bad, "x"))
        t.fails("EBADF", t.root.lseek(bad, 0))
        t.fails("EBADF", t.root.fsync(bad))
        t.fails("EBADF", t.root.fstat(bad))
      }
    },
  },
  {
    name: "a write beyond the largest size is EFBIG",
    run: (t) => {
      t.file("x", { content: "content" })
      const fd = t.ok(t.root.open("x", O.RDWR))
      t.fails("EFBIG", t.root.pwrite(fd, "x", MAX_OFFSET - 1n))
      t.fails("EFBIG", t.root.pwrite(fd, "x", 2n ** 62n))
      t.equal(t.lstat("x").size, 7, "size")
    },
  },
  {
    name: "lseek: from the start, here and the end; not before the start, not with a bad whence",
    run: (t) => {
      t.file("x", { content: "0123456789" })
      const fd = t.ok(t.root.open("x"))
      for (const [offset, whence, result] of [
        [4, SEEK.SET, 4],
        [3, SEEK.CUR, 7],
        [-2, SEEK.END, 8],
        [90, SEEK.END, 100],
      ] as const)
        t.equal(t.ok(t.root.lseek(fd, offset, whence)), result, "offset")
      t.fails("EINVAL", t.root.lseek(fd, -1))
      t.fails("EINVAL", t.root.lseek(fd, -11, SEEK.END))
      t.fails("EINVAL", t.root.lseek(fd, 0, 99))
      t.equal(t.ok(t.root.lseek(fd, 0, SEEK.CUR)), 100, "offset after the errors")
    },
  },
  {
    name: "what one process writes another one reads at once, in both directions",
    run: (t) => {
      t.file("x", { mode: 0o666 })
      const [a, b] = [t.owner, t.stranger]
      const [fa, fb] = [t.ok(a.open("x", O.RDWR)), t.ok(b.open("x", O.RDWR))]
      for (let i = 0; i < 20; i++) {
        t.ok(a.pwrite(fa, `from a ${i}\n`, i * 5000))
        t.equal(t.ok(b.pread(fb, 100, i * 5000)), `from a ${i}\n`, "content at b")
        t.equal(t.ok(b.fstat(fb)).size, t.ok(a.fstat(fa)).size, "size")
        t.ok(b.pwrite(fb, "FROM B", i * 5000))
        t.equal(t.ok(a.pread(fa, 6, i * 5000)), "FROM B", "content at a")
      }
    },
  },
  {
    name: "fsync, fdatasync and syncfs succeed on files and directories",
    run: (t) => {
      t.file("x", { content: "content" })
      t.dir("d")
      for (const path of ["x", "d"]) {
        const fd = t.ok(t.root.open(path))
        for (const call of ["fsync", "fdatasync", "syncfs"] as const) t.succeeds(t.root.call(call, [fd]))
      }
    },
  },
]
