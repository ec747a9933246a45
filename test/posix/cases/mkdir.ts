import { O, S } from "../abi.ts"
import type { Case } from "../check.ts"
import { TEAM } from "../crew.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

const semantics: readonly Case[] = [
  {
    name: "the mode is what was asked for without the umask; set-user-id and set-group-id cannot be asked for",
    run: (t) => {
      let count = 0
      for (const umask of [0, 0o022, 0o077, 0o027, 0o777, 0o151]) {
        t.ok(t.root.umask(umask))
        for (const mode of [0, 0o151, 0o644, 0o755, 0o777, 0o1777, 0o6777, 0o7777]) {
          const name = String(count++)
          t.ok(t.root.mkdir(name, mode))
          t.equal(
            t.lstat(name).mode,
            S.IFDIR | (mode & 0o1777 & ~umask),
            `${mode.toString(8)} & ~${umask.toString(8)}`,
          )
        }
      }
    },
  },
  {
    name: "it belongs to whoever made it",
    run: (t) => {
      for (const [role, uid, gid] of [
        ["root", 0, 0],
        ["owner", 71001, TEAM],
        ["member", 71003, 71003],
      ] as const) {
        t.ok(t.as(role).mkdir(role))
        t.equal(`${t.lstat(role).uid}:${t.lstat(role).gid}`, `${uid}:${gid}`, "owner")
      }
    },
  },
  {
    name: "in a set-group-id directory it gets that group and the bit",
    run: (t) => {
      t.dir("d", { mode: 0o2777, owned: "owner" })
      for (const role of ["root", "owner", "stranger"] as const) {
        t.ok(t.as(role).mkdir(`d/${role}`, 0o755))
        t.equal(t.lstat(`d/${role}`).gid, TEAM, "group")
        t.equal(t.lstat(`d/${role}`).perm, 0o2755, "mode")
      }
      t.ok(t.stranger.mkdir("d/stranger/deeper", 0o700))
      t.equal(t.lstat("d/stranger/deeper").gid, TEAM, "group one level down")
      t.equal(t.lstat("d/stranger/deeper").perm, 0o2700, "mode one level down")
    },
  },
  {
    name: "a new directory has two links, and one more for each directory in it",
    group: "dirLinks",
    run: (t) => {
      t.dir("d")
      t.equal(t.lstat("d").nlink, 2, "links")
      for (let i = 1; i <= 5; i++) {
        t.ok(t.root.mkdir(`d/${i}`))
        t.equal(t.lstat("d").nlink, 2 + i, "links")
      }
      t.file("d/file")
      t.equal(t.lstat("d").nlink, 7, "links after a file")
      for (let i = 5; i >= 1; i--) {
        t.ok(t.root.rmdir(`d/${i}`))
        t.equal(t.lstat("d").nlink, 1 + i, "links")
      }
    },
  },
  {
    name: "it contains . and .. and nothing else",
    run: (t) => {
      t.dir("d")
      const entries = t.ok(t.root.getdents(t.ok(t.root.open("d", O.DIRECTORY))))
      t.equal(
        entries
          .map(({ name }) => name)
          .sort()
          .join(),
        ".,..",
        "entries",
      )
      t.equal(t.ok(t.root.stat("d/.")).ino, t.lstat("d").ino, "inode number of .")
      t.equal(t.ok(t.root.stat("d/..")).ino, t.lstat(".").ino, "inode number of ..")
    },
  },
  {
    name: "EEXIST wins over a name that ends in a slash, . and ..",
    run: (t) => {
      t.dir("d")
      for (const path of ["d", "d/", "d/.", "d/..", ".", "..", "/"]) t.fails("EEXIST", t.root.mkdir(path))
    },
  },
  {
    name: "EEXIST for a symbolic link, dangling or not, with a slash behind it or not",
    run: (t) => {
      t.dir("d")
      t.ok(t.root.symlink("d", "s"))
      t.create("symlink", "dangling")
      for (const path of ["s", "s/", "dangling", "dangling/"]) t.fails("EEXIST", t.root.mkdir(path))
    },
  },
  {
    name: "directories nest deeper than PATH_MAX, step by step",
    run: (t) => {
      const name = "n".repeat(200)
      const DEPTH = 40
      for (let i = 0; i < DEPTH; i++) {
        t.ok(t.root.mkdir(name))
        t.ok(t.root.chdir(name))
      }
      t.file("bottom")
      t.succeeds(t.root.lstat("bottom"))
      t.succeeds(t.root.lstat("../".repeat(DEPTH) + name))
    },
  },
]

export const cases: readonly Case[] = [...pathCases(probesOf("mkdir")), ...semantics]
