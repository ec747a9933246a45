/** When the set-user-id and set-group-id bits are taken away: by a change of content or of the owner. */
import { FALLOC, O } from "../abi.ts"
import type { Case, Test } from "../check.ts"
import type { Role } from "../crew.ts"
import type { Outcome, Posix } from "../posix.ts"

const actors: readonly Role[] = ["root", "owner", "mate", "member", "stranger"]
const modes = [0o4777, 0o2777, 0o6777, 0o4666, 0o6666, 0o2676, 0o2766, 0o6767, 0o7777]

/** Whoever is root, or in the group of the file. */
const mayKeepGroupBit: readonly Role[] = ["root", "owner", "mate", "member"]

interface Change {
  readonly name: string
  readonly act: (by: Posix, t: Test) => Outcome<unknown>
}

const opened = (by: Posix, t: Test, flags: number = O.WRONLY) => t.ok(by.open("x", flags))

const changes: readonly Change[] = [
  { name: "write", act: (by, t) => by.write(opened(by, t), "x") },
  { name: "append", act: (by, t) => by.write(opened(by, t, O.WRONLY | O.APPEND), "x") },
  { name: "pwrite", act: (by, t) => by.pwrite(opened(by, t), "x", 100_000) },
  { name: "truncate", act: (by) => by.truncate("x", 3) },
  { name: "truncate to more", act: (by) => by.truncate("x", 3000) },
  { name: "ftruncate", act: (by, t) => by.ftruncate(opened(by, t), 3) },
  { name: "open O_TRUNC", act: (by) => by.open("x", O.WRONLY | O.TRUNC) },
  { name: "fallocate", act: (by, t) => by.fallocate(opened(by, t), 0, 0, 10_000) },
  {
    name: "a punched hole",
    act: (by, t) => by.fallocate(opened(by, t), FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, 0, 3),
  },
  { name: "copy_file_range", act: (by, t) => by.copyFileRange(t.ok(by.open("y")), opened(by, t), 5) },
]

/** Root keeps all; anyone else loses set-user-id, and set-group-id if it takes effect or is not theirs to keep. */
function afterChange(mode: number, actor: Role): number {
  if (actor === "root") return mode
  return dropGroupBit(mode & ~0o4000, actor)
}

function dropGroupBit(mode: number, actor: Role): number {
  const takesEffect = (mode & 0o010) !== 0
  return takesEffect || !mayKeepGroupBit.includes(actor) ? mode & ~0o2000 : mode
}

/** Set-group-id without execution by the group, changed by a stranger: the server must ask for the groups of the caller. */
function isSubtle(mode: number, actor: Role): boolean {
  return (mode & 0o2010) === 0o2000 && actor === "stranger"
}

const content: readonly Case[] = changes.flatMap(({ name, act }) =>
  actors.flatMap((actor) =>
    [false, true].map((subtle) => ({
      name: `${name} by ${actor}${subtle ? ", set-group-id without execution" : ""}`,
      ...(subtle ? { group: "sgidNoExec" as const } : {}),
      run: (t: Test) => {
        t.file("y", { content: "source" })
        for (const mode of modes.filter((each) => isSubtle(each, actor) === subtle)) {
          t.file("x", { content: "content", owned: "owner" })
          t.ok(t.root.chmod("x", mode | 0o222))
          t.succeeds(act(t.as(actor), t))
          t.equal(
            t.lstat("x").perm,
            afterChange(mode | 0o222, actor),
            `mode after ${(mode | 0o222).toString(8)}`,
          )
          t.ok(t.root.unlink("x"))
        }
      },
    })),
  ),
)

const ownership: readonly Case[] = [
  ...(["root", "owner"] as const).map((actor): Case => ({
    name: `chown by ${actor} takes both bits of a file, set-group-id only if it takes effect`,
    run: (t) => {
      for (const [uid, gid] of [
        [-1, 71010],
        [71001, -1],
        [71001, 71010],
        [-1, -1],
      ] as const)
        for (const mode of modes) {
          t.file("x", { owned: "owner" })
          t.ok(t.root.chmod("x", mode))
          t.succeeds(t.as(actor).chown("x", uid, gid))
          t.equal(
            t.lstat("x").perm,
            dropGroupBit(mode & ~0o4000, actor),
            `mode after ${mode.toString(8)}, ${uid}:${gid}`,
          )
          t.ok(t.root.unlink("x"))
        }
    },
  })),
  {
    name: "a directory keeps its bits through chown",
    run: (t) => {
      for (const actor of ["root", "owner"] as const) {
        t.dir(actor, { owned: "owner" })
        t.ok(t.root.chmod(actor, 0o6777))
        t.succeeds(t.as(actor).chown(actor, 71001, 71010))
        t.equal(t.lstat(actor).perm, 0o6777, "mode")
      }
    },
  },
  {
    name: "rename, link, chmod of other bits, times, attributes and reading keep them",
    run: (t) => {
      t.file("x", { owned: "owner" })
      t.ok(t.root.chmod("x", 0o6755))
      t.ok(t.owner.rename("x", "y"))
      t.ok(t.owner.link("y", "x"))
      t.ok(t.owner.utimens("x"))
      t.ok(t.owner.setxattr("x", "user.a", "v"))
      t.ok(t.stranger.read(t.ok(t.stranger.open("x")), 1))
      t.equal(t.lstat("x").perm, 0o6755, "mode")
    },
  },
  {
    name: "a refused change takes nothing away",
    run: (t) => {
      t.file("x", { owned: "owner" })
      t.ok(t.root.chmod("x", 0o6755))
      t.fails("EACCES", t.stranger.truncate("x", 0))
      t.fails("EPERM", t.stranger.chown("x", 71004, -1))
      t.fails("EPERM", t.stranger.chmod("x", 0))
      t.equal(t.lstat("x").perm, 0o6755, "mode")
    },
  },
]

export const cases: readonly Case[] = [...content.filter(isWorthwhile), ...ownership]

/** The subtle variants exist for strangers only. */
function isWorthwhile({ name, group }: Case): boolean {
  return group !== "sgidNoExec" || name.includes("stranger")
}
