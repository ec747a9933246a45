/**
 * Sticky directories: only the owner of the entry, the owner of the directory and root may take an entry away,
 * be it by unlink, rmdir, as the source of a rename, as what a rename replaces, or in an exchange.
 */
import type { Case, FileType, Test } from "../check.ts"
import { fileTypes } from "../check.ts"
import type { Role } from "../crew.ts"
import type { Outcome, Posix } from "../posix.ts"

const owners: readonly Role[] = ["root", "owner", "stranger"]
const actors: readonly Role[] = ["root", "owner", "mate", "stranger"]

interface Removal {
  readonly name: string
  /** what replaces the entry, in a directory that forbids nothing */
  readonly call: (by: Posix, type: FileType) => Outcome<unknown>
}

const removals: readonly Removal[] = [
  { name: "removed", call: (by, type) => (type === "dir" ? by.rmdir("sticky/x") : by.unlink("sticky/x")) },
  { name: "renamed within", call: (by) => by.rename("sticky/x", "sticky/y") },
  { name: "renamed out", call: (by) => by.rename("sticky/x", "free/y") },
  {
    name: "replaced",
    call: (by, type) => {
      if (type === "dir") by.mkdir("free/y")
      else by.mknod("free/y", 0o644)
      return by.rename("free/y", "sticky/x")
    },
  },
  {
    name: "exchanged",
    call: (by, type) => {
      if (type === "dir") by.mkdir("free/y")
      else by.mknod("free/y", 0o644)
      return by.exchange("free/y", "sticky/x")
    },
  },
]

function check(t: Test, type: FileType, removal: Removal, directory: Role, file: Role): void {
  for (const actor of actors) {
    for (const isSticky of [true, false]) {
      t.dir("sticky", { owned: directory, mode: isSticky ? 0o1777 : 0o777 })
      t.dir("free", { mode: 0o777 })
      t.create(type, "sticky/x", { mode: 0o777 })
      const { uid, gid } = t.credentials(file)
      t.ok(t.root.lchown("sticky/x", uid, gid))
      const { ino } = t.lstat("sticky/x")
      const isAllowed = !isSticky || ["root", directory, file].includes(actor)
      // A directory that changes its parent must be writable to a user: not what is tested here.
      if (type === "dir") t.ok(t.root.chmod("sticky/x", 0o777))
      t.expect(isAllowed ? "ok" : "EPERM", removal.call(t.as(actor), type))
      if (!isAllowed) t.equal(t.lstat("sticky/x").ino, ino, "inode number after the refusal")
      t.ok(t.root.rename("sticky", `sticky${t.serial()}`))
      t.ok(t.root.rename("free", `free${t.serial()}`))
    }
  }
}

export const cases: readonly Case[] = removals.flatMap((removal) =>
  fileTypes.flatMap((type) =>
    owners.flatMap((directory) =>
      owners.map((file) => ({
        name: `a ${type} of ${file} in a sticky directory of ${directory}: who may have it ${removal.name}`,
        run: (t: Test) => check(t, type, removal, directory, file),
      })),
    ),
  ),
)
