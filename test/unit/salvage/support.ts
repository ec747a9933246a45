/** A store as programs see it, by path: two stores with other numbers can be compared. */
import { createHash } from "node:crypto"
import { printable } from "../../../clawfs/fsck/finding.ts"
import type { Inode } from "../../../clawfs/store/inode.ts"
import { Store } from "../../../clawfs/store/store.ts"
import { readFile } from "../support/files.ts"

/** Path → everything that stat, readlink, getxattr and read would tell, without the access time. */
export function treeOf(directory: string): Map<string, string> {
  using store = Store.open(directory, { readOnly: true })
  const found = new Map<string, string>()
  const walk = (inode: Inode, path: string): void => {
    found.set(path === "" ? "/" : path, describe(store, inode))
    if (!inode.isDirectory) return
    for (const { name, ino } of store.dentries.list(inode.ino, 0, 10_000)) {
      const child = store.inodes.get(ino)
      if (child !== undefined) walk(child, `${path}/${printable(name)}`)
    }
  }
  walk(store.root(), "")
  return found
}

function describe(store: Store, inode: Inode): string {
  const { mode, nlink, uid, gid, rdev, size, flags, mtime, mtimeNanos, ctime, btime } = inode
  const xattrs = store.xattrs
    .names(inode)
    .map((name) => `${name.toString()}=${store.xattrs.get(inode, name)?.toString("hex") ?? ""}`)
  const what = inode.isSymlink
    ? store.symlinks.get(inode).toString()
    : inode.isRegular
      ? createHash("sha1").update(readFile(store, inode)).digest("hex")
      : ""
  const numbers = [mode.toString(8), nlink, uid, gid, rdev, size, flags, mtime, mtimeNanos, ctime, btime]
  return [...numbers, ...xattrs, what].join(" ")
}

/** The bytes of a file of the root directory. */
export function bytesOf(directory: string, ...path: string[]): Buffer {
  using store = Store.open(directory, { readOnly: true })
  let inode = store.root()
  for (const name of path) {
    const next = store.dentries.find(inode.ino, Buffer.from(name))
    const child = next === undefined ? undefined : store.inodes.get(next.ino)
    if (child === undefined) throw new Error(`there is no ${path.join("/")}`)
    inode = child
  }
  return readFile(store, inode)
}
