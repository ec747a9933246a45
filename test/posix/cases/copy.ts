/** copy_file_range(2), and sendfile(2) as the other way to copy within the kernel */
import { O, SEEK } from "../abi.ts"
import type { Case, Test } from "../check.ts"

function open(t: Test, path: string, content = ""): number {
  const fd = t.ok(t.root.open(path, O.CREAT | O.RDWR, 0o644))
  if (content !== "") t.ok(t.root.pwrite(fd, content, 0))
  return fd
}

/** Copies until the length is reached; the call may always do less. */
function copyAll(t: Test, from: number, to: number, length: number, offsets: [number, number]): number {
  let done = 0
  while (done < length) {
    const step = t.ok(t.root.copyFileRange(from, to, length - done, [offsets[0] + done, offsets[1] + done]))
    if (step === 0) break
    done += step
  }
  return done
}

export const cases: readonly Case[] = [
  {
    name: "bytes are copied between files at given offsets, and the descriptors' offsets stay",
    run: (t) => {
      const [a, b] = [open(t, "a", "0123456789"), open(t, "b", "..........")]
      t.equal(t.ok(t.root.copyFileRange(a, b, 4, [3, 2])), 4, "bytes copied")
      t.equal(t.ok(t.root.pread(b, 20, 0)), "..3456....", "content")
      t.equal(t.ok(t.root.lseek(a, 0, SEEK.CUR)), 0, "offset of the source")
      t.equal(t.ok(t.root.lseek(b, 0, SEEK.CUR)), 0, "offset of the target")
    },
  },
  {
    name: "without offsets those of the descriptors are used and move",
    run: (t) => {
      const [a, b] = [open(t, "a", "0123456789"), open(t, "b")]
      t.ok(t.root.lseek(a, 2))
      t.equal(t.ok(t.root.copyFileRange(a, b, 5)), 5, "bytes copied")
      t.equal(t.ok(t.root.copyFileRange(a, b, 100)), 3, "bytes copied up to the end")
      t.equal(t.ok(t.root.copyFileRange(a, b, 100)), 0, "bytes copied at the end")
      t.equal(t.ok(t.root.pread(b, 20, 0)), "23456789", "content")
      t.equal(t.ok(t.root.lseek(a, 0, SEEK.CUR)), 10, "offset of the source")
      t.equal(t.ok(t.root.lseek(b, 0, SEEK.CUR)), 8, "offset of the target")
    },
  },
  ...[1, 4095, 4096, 16_384, 16_385, 100_000, 1_000_000].map((length): Case => ({
    name: `${length} bytes are copied to every kind of offset`,
    run: (t) => {
      const a = open(t, "a")
      for (let at = 0; at < length; at += 100_000)
        t.ok(t.root.pfill(a, 0x61 + ((at / 100_000) % 26), Math.min(100_000, length - at), at))
      for (const offset of [0, 1, 4096, 70_001]) {
        const b = open(t, `b${offset}`, "previous")
        t.equal(copyAll(t, a, b, length, [0, offset]), length, "bytes copied")
        t.equal(t.lstat(`b${offset}`).size, Math.max(8, offset + length), "size")
        for (const at of [0, length >> 1, length - 1])
          t.equal(t.ok(t.root.pread(b, 1, offset + at)), t.ok(t.root.pread(a, 1, at)), `byte ${at}`)
        if (offset > 8) t.equal(t.ok(t.root.pread(b, 9, 0)), "previous\0", "bytes before the copy")
      }
    },
  })),
  {
    name: "within a file ranges may touch but not overlap: EINVAL",
    run: (t) => {
      const a = open(t, "a", "0123456789")
      t.equal(t.ok(t.root.copyFileRange(a, a, 5, [0, 5])), 5, "bytes copied")
      t.equal(t.ok(t.root.pread(a, 20, 0)), "0123401234", "content")
      t.fails("EINVAL", t.root.copyFileRange(a, a, 5, [0, 4]))
      t.fails("EINVAL", t.root.copyFileRange(a, a, 5, [4, 0]))
    },
  },
  {
    name: "the copy is a copy: changing one leaves the other alone",
    run: (t) => {
      const a = open(t, "a")
      t.ok(t.root.pfill(a, 0x61, 200_000, 0))
      const b = open(t, "b")
      copyAll(t, a, b, 200_000, [0, 0])
      t.ok(t.root.pwrite(a, "AAAA", 50_000))
      t.ok(t.root.pwrite(b, "BBBB", 150_000))
      t.equal(t.ok(t.root.pread(b, 4, 50_000)), "aaaa", "content of the copy")
      t.equal(t.ok(t.root.pread(a, 4, 150_000)), "aaaa", "content of the source")
      t.ok(t.root.unlink("a"))
      t.ok(t.root.ftruncate(a, 0))
      t.equal(t.ok(t.root.pread(b, 4, 199_996)), "aaaa", "content of the copy without the source")
    },
  },
  {
    name: "a hole is copied as zeros over what was there",
    run: (t) => {
      const a = open(t, "a")
      t.ok(t.root.ftruncate(a, 100_000))
      const b = open(t, "b")
      t.ok(t.root.pfill(b, 0x62, 120_000, 0))
      t.equal(copyAll(t, a, b, 100_000, [0, 10_000]), 100_000, "bytes copied")
      t.equal(t.ok(t.root.pread(b, 4, 9_998)), "bb\0\0", "content at the start")
      t.equal(t.ok(t.root.pread(b, 4, 109_998)), "\0\0bb", "content at the end")
    },
  },
  {
    name: "errors: EBADF for the wrong access or O_APPEND, EISDIR, EINVAL for flags and fifos",
    run: (t) => {
      open(t, "a", "0123456789")
      open(t, "b")
      t.dir("d")
      const [r, w] = [t.ok(t.root.open("a", O.RDONLY)), t.ok(t.root.open("b", O.WRONLY))]
      t.fails("EBADF", t.root.copyFileRange(w, w, 1))
      t.fails("EBADF", t.root.copyFileRange(r, r, 1))
      t.fails("EBADF", t.root.copyFileRange(r, 9999, 1))
      t.fails("EBADF", t.root.copyFileRange(r, t.ok(t.root.open("b", O.WRONLY | O.APPEND)), 1))
      t.fails("EISDIR", t.root.copyFileRange(t.ok(t.root.open("d")), w, 1))
      t.fails("EINVAL", t.root.call("copy_file_range", [r, 0, w, 0, 1, 1]))
      t.ok(t.root.mkfifo("f"))
      t.fails("EINVAL", t.root.copyFileRange(t.ok(t.root.open("f", O.RDWR | O.NONBLOCK)), w, 1))
    },
  },
  {
    name: "sendfile copies from the offset on, and moves it",
    run: (t) => {
      const [a, b] = [open(t, "a", "0123456789"), open(t, "b")]
      t.ok(t.root.lseek(a, 4))
      t.equal(t.ok(t.root.call("sendfile", [b, a, 0, 100])), 6, "bytes copied")
      t.equal(t.ok(t.root.pread(b, 20, 0)), "456789", "content")
      t.equal(t.ok(t.root.lseek(a, 0, SEEK.CUR)), 10, "offset of the source")
    },
  },
]
