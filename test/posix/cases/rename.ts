import { O, RENAME, S } from "../abi.ts"
import { type Case, type Expected, type FileType, type Test, fileTypes } from "../check.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

// ---- every type onto every type, within a directory and across, with every flag

const targets = ["nothing", ...fileTypes, "full dir"] as const
type Target = (typeof targets)[number]
const flagSets = {
  plain: 0,
  NOREPLACE: RENAME.NOREPLACE,
  EXCHANGE: RENAME.EXCHANGE,
  WHITEOUT: RENAME.WHITEOUT,
}
type FlagSet = keyof typeof flagSets

/** rename(2) */
function expected(from: FileType, to: Target, flags: FlagSet): Expected {
  const isDirectory = to === "dir" || to === "full dir"
  if (flags === "EXCHANGE") return to === "nothing" ? "ENOENT" : "ok"
  if (to === "nothing") return "ok"
  if (flags === "NOREPLACE") return "EEXIST"
  if (from !== "dir") return isDirectory ? "EISDIR" : "ok"
  if (!isDirectory) return "ENOTDIR"
  return to === "dir" ? "ok" : "ENOTEMPTY"
}

function put(t: Test, target: Target, path: string): void {
  if (target === "nothing") return
  t.create(target === "full dir" ? "dir" : target, path)
  if (target === "full dir") t.file(`${path}/content`)
}

function verify(
  t: Test,
  from: bigint,
  to: bigint | undefined,
  flags: FlagSet,
  paths: [string, string],
): void {
  const [old, current] = [t.root.lstat(paths[0]), t.lstat(paths[1])]
  t.equal(current.ino, from, "inode number at the new name")
  if (flags === "EXCHANGE") t.equal(old.value.ino, to, "inode number at the old name")
  else if (flags === "WHITEOUT") {
    t.equal(old.value.type, S.IFCHR, "type left at the old name")
    t.equal(old.value.rdev, "0:0", "device left at the old name")
  } else t.fails("ENOENT", old)
}

const matrix: readonly Case[] = (Object.keys(flagSets) as FlagSet[]).flatMap((flags) =>
  fileTypes.flatMap((from) =>
    targets.map((to) => {
      const want = expected(from, to, flags)
      return {
        name: `rename (${flags}) of ${from} onto ${to}: ${want}`,
        run: (t: Test) => {
          t.dir("a")
          t.dir("b")
          for (const [index, directory] of ["a", "b"].entries()) {
            const paths: [string, string] = [`a/from${index}`, `${directory}/to${index}`]
            put(t, from, paths[0])
            put(t, to, paths[1])
            const inode = t.lstat(paths[0]).ino
            const other = to === "nothing" ? undefined : t.lstat(paths[1]).ino
            t.expect(want, t.root.rename(...paths, { flags: flagSets[flags] }))
            if (want === "ok") verify(t, inode, other, flags, paths)
            else {
              t.equal(t.lstat(paths[0]).ino, inode, "inode number at the old name after the refusal")
              if (other !== undefined) t.equal(t.lstat(paths[1]).ino, other, "inode number at the new name")
              else t.fails("ENOENT", t.root.lstat(paths[1]))
            }
          }
        },
      }
    }),
  ),
)

// ---- directories

const directories: readonly Case[] = [
  {
    name: "a directory into itself or below itself is EINVAL, onto one it lies in ENOTEMPTY",
    run: (t) => {
      t.dir("d")
      t.dir("d/e")
      t.dir("d/e/f")
      for (const to of ["d/x", "d/e/x", "d/e/f/x", "d/e/f"]) t.fails("EINVAL", t.root.rename("d", to))
      for (const to of ["d", "d/e"]) t.fails("ENOTEMPTY", t.root.rename("d/e/f", to))
      for (const [a, b] of [
        ["d", "d/e"],
        ["d", "d/e/f"],
      ] as const) {
        t.fails("EINVAL", t.root.exchange(a, b))
        t.fails("EINVAL", t.root.exchange(b, a))
      }
      t.succeeds(t.root.lstat("d/e/f"))
    },
  },
  {
    name: ". and .. as last component: EBUSY",
    run: (t) => {
      t.dir("d")
      t.dir("e")
      for (const path of ["d/.", "d/..", ".", ".."]) {
        t.fails("EBUSY", t.root.rename(path, "x"))
        t.fails("EBUSY", t.root.rename("e", path))
      }
    },
  },
  {
    name: ".. of a moved directory is its new parent",
    run: (t) => {
      t.dir("a")
      t.dir("b")
      t.dir("a/d")
      const fd = t.ok(t.root.open("a/d"))
      t.ok(t.root.rename("a/d", "b/d"))
      t.equal(t.ok(t.root.stat("b/d/..")).ino, t.lstat("b").ino, "inode number of ..")
      t.equal(t.ok(t.root.stat("..", fd)).ino, t.lstat("b").ino, "inode number of .. by descriptor")
      const dots = t.ok(t.root.getdents(fd)).find(({ name }) => name === "..")
      t.equal(dots?.ino, t.lstat("b").ino, "inode number of the entry ..")
    },
  },
  {
    name: "the links of both parents follow a moved, replaced or exchanged directory",
    group: "dirLinks",
    run: (t) => {
      const links = (a: number, b: number, when: string) =>
        t.equal(`${t.lstat("a").nlink} ${t.lstat("b").nlink}`, `${a} ${b}`, `links ${when}`)
      t.dir("a")
      t.dir("b")
      t.dir("a/d")
      t.dir("a/e")
      t.file("b/file")
      links(4, 2, "at first")
      t.ok(t.root.rename("a/d", "b/d"))
      links(3, 3, "after a move")
      t.ok(t.root.rename("a/e", "b/d"))
      links(2, 3, "after a move onto a directory")
      t.ok(t.root.rename("b/file", "a/file"))
      t.ok(t.root.exchange("a/file", "b/d"))
      links(3, 2, "after an exchange of a file and a directory")
      t.ok(t.root.rename("a/file", "a/g"))
      links(3, 2, "after a rename within a directory")
    },
  },
  {
    name: "a directory replaced while it is open is dead: no links, no entries, no new names",
    run: (t) => {
      t.dir("d")
      t.dir("e")
      const fd = t.ok(t.root.open("e"))
      t.ok(t.root.rename("d", "e"))
      t.equal(t.ok(t.root.fstat(fd)).nlink, 0, "links")
      t.fails("ENOENT", t.root.open("x", O.CREAT | O.WRONLY, 0o600, fd))
      t.fails("ENOENT", t.root.getdents(fd))
    },
  },
  {
    name: "a user must be able to write to a directory that changes its parent",
    run: (t) => {
      t.dir("a", { mode: 0o777 })
      t.dir("b", { mode: 0o777 })
      t.dir("a/d", { mode: 0o555, owned: "stranger" })
      t.fails("EACCES", t.stranger.rename("a/d", "b/d"))
      t.succeeds(t.stranger.rename("a/d", "a/e"))
      t.ok(t.root.chmod("a/e", 0o755))
      t.succeeds(t.stranger.rename("a/e", "b/e"))
      t.dir("a/mine", { mode: 0o755, owned: "stranger" })
      t.dir("b/not-mine", { mode: 0o755 })
      t.fails("EACCES", t.stranger.exchange("a/mine", "b/not-mine"))
    },
  },
  {
    name: "contents come along with a directory",
    run: (t) => {
      t.dir("d")
      t.dir("d/e")
      t.file("d/e/file", { content: "content" })
      const fd = t.ok(t.root.open("d/e/file"))
      t.ok(t.root.mkdir("f"))
      t.ok(t.root.rename("d", "f/d"))
      t.equal(t.ok(t.root.pread(fd, 9, 0)), "content", "content by descriptor")
      t.equal(t.ok(t.root.read(t.ok(t.root.open("f/d/e/file")), 9)), "content", "content by the new path")
      t.fails("ENOENT", t.root.stat("d/e/file"))
    },
  },
]

// ---- files

const files: readonly Case[] = [
  {
    name: "two names of one file: nothing happens, both stay",
    run: (t) => {
      t.file("a")
      t.ok(t.root.link("a", "b"))
      for (const [from, to] of [
        ["a", "b"],
        ["b", "a"],
        ["a", "a"],
      ] as const) {
        t.succeeds(t.root.rename(from, to))
        t.equal(t.lstat("a").nlink, 2, "links")
      }
      t.dir("d")
      t.succeeds(t.root.rename("d", "d"))
      t.succeeds(t.root.exchange("a", "b"))
      t.fails("EEXIST", t.root.rename("a", "b", { flags: RENAME.NOREPLACE }))
    },
  },
  {
    name: "a replaced file has a link less, and lives on under its other name and for those who have it open",
    run: (t) => {
      t.file("new", { content: "new" })
      t.file("old", { content: "old" })
      t.ok(t.root.link("old", "other"))
      const fd = t.ok(t.root.open("old", O.RDWR))
      t.ok(t.root.rename("new", "old"))
      t.equal(t.lstat("other").nlink, 1, "links")
      t.equal(t.ok(t.root.pread(fd, 9, 0)), "old", "content by descriptor")
      t.equal(t.ok(t.root.read(t.ok(t.root.open("old")), 9)), "new", "content by name")
      t.ok(t.root.unlink("other"))
      t.equal(t.ok(t.root.fstat(fd)).nlink, 0, "links of the open file")
      t.ok(t.root.pwrite(fd, "alive", 0))
      t.equal(t.ok(t.root.pread(fd, 9, 0)), "alive", "content by descriptor")
    },
  },
  {
    name: "an open file is written to under its new name",
    run: (t) => {
      t.file("a")
      const fd = t.ok(t.root.open("a", O.WRONLY))
      t.ok(t.root.rename("a", "b"))
      t.ok(t.root.write(fd, "content"))
      t.equal(t.ok(t.root.read(t.ok(t.root.open("b")), 9)), "content", "content")
    },
  },
  {
    name: "a symbolic link is renamed and replaced itself, not its target",
    run: (t) => {
      t.file("x", { content: "content" })
      t.ok(t.root.symlink("x", "s"))
      t.ok(t.root.rename("s", "r"))
      t.equal(t.ok(t.root.readlink("r")), "x", "target")
      t.file("y")
      t.ok(t.root.rename("y", "r"))
      t.equal(t.lstat("r").type, S.IFREG, "type")
      t.equal(t.lstat("x").size, 7, "size of the old target")
    },
  },
  {
    name: "inode number, owner, mode and modification time stay",
    run: (t) => {
      for (const type of fileTypes) {
        t.create(type, type)
        const before = t.lstat(type)
        t.ok(t.root.rename(type, `${type}2`))
        const after = t.lstat(`${type}2`)
        for (const field of ["ino", "mode", "uid", "gid", "size", "mtime", "nlink", "rdev"] as const)
          t.equal(after[field], before[field], `${field} of the ${type}`)
      }
    },
  },
  {
    name: "NOREPLACE with EXCHANGE, EXCHANGE with WHITEOUT and unknown flags are EINVAL",
    run: (t) => {
      t.file("a")
      t.file("b")
      for (const flags of [3, 6, 7, 8, 0x80]) t.fails("EINVAL", t.root.rename("a", "b", { flags }))
    },
  },
  {
    name: "WHITEOUT with NOREPLACE leaves a whiteout or does nothing",
    run: (t) => {
      t.file("a")
      t.file("b")
      const flags = RENAME.NOREPLACE | RENAME.WHITEOUT
      t.fails("EEXIST", t.root.rename("a", "b", { flags }))
      t.succeeds(t.root.rename("a", "c", { flags }))
      t.equal(t.lstat("a").type, S.IFCHR, "type left")
    },
  },
  {
    name: "EXDEV to another filesystem, EBUSY for a mount point",
    group: "mounts",
    run: (t) => {
      t.file("x")
      t.dir("d")
      t.mountOther("other")
      t.fails("EXDEV", t.root.rename("x", "other/x"))
      t.fails("EXDEV", t.root.rename("d", "other/d"))
      t.fails("EBUSY", t.root.rename("other", "elsewhere"))
      t.fails("EBUSY", t.root.rename("d", "other"))
    },
  },
]

export const cases: readonly Case[] = [...pathCases(probesOf("rename")), ...matrix, ...directories, ...files]
