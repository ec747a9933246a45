import { O } from "../abi.ts"
import { type Case, fileTypes } from "../check.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

const ST_RDONLY = 1

export const cases: readonly Case[] = [
  ...pathCases(probesOf("statfs", "stat", "lstat", "access")),
  {
    name: "the numbers make sense",
    run: (t) => {
      const fs = t.ok(t.root.statfs("."))
      t.that(fs.bsize >= 512 && fs.bsize <= 1 << 21 && (fs.bsize & (fs.bsize - 1)) === 0, `bsize ${fs.bsize}`)
      t.that(fs.frsize >= 512 && (fs.frsize & (fs.frsize - 1)) === 0, `frsize ${fs.frsize}`)
      t.that(fs.blocks > 0n, "no blocks")
      t.that(fs.bfree >= 0n && fs.bfree <= fs.blocks, `${fs.bfree} of ${fs.blocks} blocks free`)
      t.that(fs.bavail >= 0n && fs.bavail <= fs.bfree, `${fs.bavail} of ${fs.bfree} free blocks available`)
      t.that(fs.ffree >= 0n && fs.ffree <= fs.files, `${fs.ffree} of ${fs.files} files free`)
      t.equal(fs.namelen, 255, "namelen")
      t.equal(fs.flags & ST_RDONLY, 0, "read-only flag")
    },
  },
  {
    name: "every file, by path and by descriptor, tells of the same filesystem",
    run: (t) => {
      const whole = t.ok(t.root.statfs("."))
      for (const type of fileTypes.filter((kind) => kind !== "symlink")) {
        t.create(type, type)
        for (const fs of [t.ok(t.root.statfs(type)), t.ok(t.root.fstatfs(t.ok(t.root.open(type, O.PATH))))])
          for (const field of ["type", "bsize", "blocks", "files", "namelen"] as const)
            t.equal(fs[field], whole[field], `${field} of a ${type}`)
      }
    },
  },
  {
    name: "files are counted",
    run: (t) => {
      const used = () => {
        const { files, ffree } = t.ok(t.root.statfs("."))
        return files - ffree
      }
      // others may remove files meanwhile
      const doesFollow = () => {
        const before = used()
        const directory = `d${t.serial()}`
        t.dir(directory)
        for (let i = 0; i < 100; i++) t.ok(t.root.mknod(`${directory}/${i}`, 0o644))
        return used() >= before + 50n
      }
      t.that([1, 2, 3, 4, 5].some(doesFollow), "a hundred files more, and the count did not follow")
    },
  },
  {
    name: "a read-only mount says so",
    group: "mounts",
    run: (t) => {
      t.becomeReadOnly()
      t.equal(t.ok(t.root.statfs(".")).flags & ST_RDONLY, ST_RDONLY, "read-only flag")
    },
  },
  {
    name: "EBADF for a bad descriptor, EFAULT for a bad buffer",
    run: (t) => {
      t.fails("EBADF", t.root.fstatfs(9999))
      t.fails("EFAULT", t.root.call("statfs", [".", 1]))
    },
  },
]
