/** Inode numbers and space: st_ino, st_dev, st_blocks, st_size */
import { FALLOC, O } from "../abi.ts"
import { type Case, fileTypes } from "../check.ts"

const KIB = 1024
/** What a filesystem may take for itself beside the content of one file. */
const OVERHEAD = 160 * KIB

export const cases: readonly Case[] = [
  {
    name: "every object has an inode number of its own, on one device",
    run: (t) => {
      const seen = new Set<bigint>()
      for (const type of fileTypes)
        for (let i = 0; i < 10; i++) {
          t.create(type, `${type}${i}`)
          seen.add(t.lstat(`${type}${i}`).ino)
          t.equal(t.lstat(`${type}${i}`).dev, t.lstat(".").dev, "device")
        }
      t.equal(seen.size, fileTypes.length * 10, "different inode numbers")
    },
  },
  {
    name: "path, link, descriptor and listing agree on the inode number, and it survives renames",
    run: (t) => {
      for (const type of fileTypes) {
        t.create(type, type)
        const { ino } = t.lstat(type)
        const fd = t.ok(t.root.open(type, O.PATH | O.NOFOLLOW))
        for (let i = 0; i < 5; i++) {
          t.ok(t.root.rename(i === 0 ? type : `${type}${i}`, `${type}${i + 1}`))
          t.equal(t.lstat(`${type}${i + 1}`).ino, ino, "inode number by path")
          t.equal(t.ok(t.root.fstat(fd)).ino, ino, "inode number by descriptor")
        }
      }
    },
  },
  {
    name: "an empty file takes no space, a file of holes next to none, a full one what it holds",
    run: (t) => {
      t.file("empty")
      t.equal(t.lstat("empty").blocks, 0, "blocks of an empty file")
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      t.ok(t.root.ftruncate(fd, 1024 * 1024 * KIB))
      t.that(t.lstat("x").blocks * 512 <= OVERHEAD, "a hole takes space")
      for (let i = 0; i < 8; i++) t.ok(t.root.pfill(fd, 0x61 + i, 128 * KIB, i * 128 * KIB))
      t.ok(t.root.fsync(fd))
      const bytes = t.lstat("x").blocks * 512
      t.that(bytes >= 1024 * KIB && bytes <= 1024 * KIB + OVERHEAD, `${bytes} bytes of blocks for 1 MiB`)
    },
  },
  {
    name: "a small file with content has at least one block, and loses it with its content",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      t.ok(t.root.write(fd, "content"))
      t.ok(t.root.fsync(fd))
      const { blocks } = t.lstat("x")
      t.that(blocks >= 1 && blocks * 512 <= OVERHEAD, `${blocks} blocks`)
      t.ok(t.root.ftruncate(fd, 0))
      t.ok(t.root.fsync(fd))
      t.equal(t.lstat("x").blocks, 0, "blocks after truncation")
    },
  },
  {
    name: "overwriting in place does not grow the space",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      for (let round = 0; round < 5; round++) t.ok(t.root.pfill(fd, round, 128 * KIB, 0))
      t.ok(t.root.fsync(fd))
      t.that(t.lstat("x").blocks * 512 <= 128 * KIB + OVERHEAD, `${t.lstat("x").blocks} blocks for 128 KiB`)
    },
  },
  {
    name: "space set aside beyond the end is counted, and given back by truncation",
    run: (t) => {
      const fd = t.ok(t.root.open("x", O.CREAT | O.RDWR, 0o644))
      t.ok(t.root.fallocate(fd, FALLOC.KEEP_SIZE, 0, 512 * KIB))
      t.that(t.lstat("x").blocks * 512 >= 512 * KIB, "space set aside is not counted")
      t.equal(t.lstat("x").size, 0, "size")
      t.ok(t.root.ftruncate(fd, 0))
      t.that(t.lstat("x").blocks * 512 <= OVERHEAD, "space was not given back")
    },
  },
]
