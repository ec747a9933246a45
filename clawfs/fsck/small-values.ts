/** Tables `symlink` and `xattr` against the inodes that they belong to. */
import { InodeFlag, PERMISSIONS, S_IFLNK } from "../store/inode.ts"
import { DT_LNK, type InodeRow } from "./attributes.ts"
import { printable } from "./finding.ts"
import { DT_DIR } from "./inode-index.ts"
import type { Pass } from "./pass.ts"
import { change } from "./scan.ts"

/** ino, length of the target, place of the first zero byte in it (0: none). */
export type SymlinkRow = [ino: number, length: number, zeroAt: number]
export type XattrRow = [ino: number, name: Buffer, length: number]

/** Linux: PATH_MAX with its zero byte, XATTR_NAME_MAX, XATTR_SIZE_MAX. */
const TARGET_MAX = 4095
const NAME_MAX = 255
const VALUE_MAX = 65_536
const ACCESS_ACL = "system.posix_acl_access"
const DEFAULT_ACL = "system.posix_acl_default"

/** A link, or an inode with a target. */
export function checkTarget(
  { db, findings }: Pass,
  { ino, mode, type, size, alloc }: InodeRow,
  row: SymlinkRow | undefined,
): void {
  if (row === undefined) {
    findings.add({ kind: "symlink", ino, message: "the target of the link is lost" })
    return
  }
  const [, length, zeroAt] = row
  if (type !== DT_LNK) {
    // Only of a link is that the size, and that with nothing stored.
    const isLink = size === length && alloc === 0
    const value = S_IFLNK | (mode & PERMISSIONS)
    const repair = (): void => change(db, "UPDATE inode SET mode = ? WHERE ino = ?", value, ino)
    const message = `mode 0o${mode.toString(8)}, and has the target of a link`
    findings.add({ kind: "symlink", ino, message, ...(isLink ? { repair } : {}) })
    return
  }
  if (length === 0 || length > TARGET_MAX || zeroAt > 0) {
    const message = zeroAt > 0 ? "a target with a zero byte" : `a target of ${length} bytes`
    findings.add({ kind: "symlink", ino, message })
  }
  if (size === length) return
  findings.add({
    kind: "symlink",
    ino,
    message: `size ${size}, but the target has ${length} bytes`,
    repair: () => change(db, "UPDATE inode SET size = ? WHERE ino = ?", length, ino),
  })
}

/** The rows, and the flags that say in advance whether a lookup in the table is worth it. */
export function checkXattrs({ db, findings }: Pass, inode: InodeRow, rows: Iterable<XattrRow>): void {
  const { ino, type, flags } = inode
  let right = flags & ~(InodeFlag.HAS_ACCESS_ACL | InodeFlag.HAS_DEFAULT_ACL)
  for (const [, name, length] of rows) {
    right |= InodeFlag.HAS_XATTR
    const text = name.toString("latin1")
    if (text === ACCESS_ACL) right |= InodeFlag.HAS_ACCESS_ACL
    if (text === DEFAULT_ACL && type === DT_DIR) right |= InodeFlag.HAS_DEFAULT_ACL
    if (name.length === 0 || name.length > NAME_MAX || name.includes(0))
      findings.add({ kind: "xattr", ino, message: `an attribute with the name "${printable(name)}"` })
    if (length > VALUE_MAX)
      findings.add({ kind: "xattr", ino, message: `attribute "${printable(name)}" has ${length} bytes` })
  }
  // Of flags that are no 32-bit number another finding tells.
  if (right === (flags | 0) || flags < 0 || flags >= 2 ** 32) return
  const value = right >>> 0
  findings.add({
    kind: "xattr",
    ino,
    message: "the flags of the inode do not fit its extended attributes",
    repair: () => change(db, "UPDATE inode SET flags = ? WHERE ino = ?", value, ino),
  })
}
