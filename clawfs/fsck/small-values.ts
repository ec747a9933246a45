/** Tables `symlink` and `xattr` against the inodes that they belong to. */
import { InodeFlag, PERMISSIONS, S_IFLNK } from "../store/inode.ts"
import { DT_LNK, type InodeRow } from "./attributes.ts"
import { printable } from "./finding.ts"
import { BLOB_OVERHEAD, isCell } from "./sealed.ts"
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
export function checkTarget(pass: Pass, inode: InodeRow, row: SymlinkRow | undefined): void {
  const { db, findings } = pass
  const { ino, mode, type, size, alloc } = inode
  if (row === undefined) {
    findings.add({ kind: "symlink", ino, message: "the target of the link is lost" })
    return
  }
  const isSealed = pass.sealed.has(ino)
  const length = isSealed ? row[1] - BLOB_OVERHEAD : row[1]
  const zeroAt = isSealed ? 0 : row[2]
  if (type !== DT_LNK) {
    // Only of a link is that the size, and that with nothing stored.
    const isLink = size === length && alloc === 0 && !isSealed
    const value = S_IFLNK | (mode & PERMISSIONS)
    const repair = (): void => change(db, "UPDATE inode SET mode = ? WHERE ino = ?", value, ino)
    const message = `mode 0o${mode.toString(8)}, and has the target of a link`
    findings.add({ kind: "symlink", ino, message, ...(isLink ? { repair } : {}) })
    return
  }
  if (length <= 0 || length > TARGET_MAX || zeroAt > 0) {
    const message = zeroAt > 0 ? "a target with a zero byte" : `a target of ${length} bytes`
    findings.add({ kind: "symlink", ino, message })
  }
  if (size === length) return
  const isMendable = length > 0
  findings.add({
    kind: "symlink",
    ino,
    message: `size ${size}, but the target has ${length} bytes`,
    ...(isMendable
      ? { repair: (): void => change(db, "UPDATE inode SET size = ? WHERE ino = ?", length, ino) }
      : {}),
  })
}

/** The rows, and the flags that say in advance whether a lookup in the table is worth it. */
export function checkXattrs(pass: Pass, inode: InodeRow, rows: Iterable<XattrRow>): void {
  const { db, findings } = pass
  const { ino, type, flags } = inode
  if (pass.sealed.has(ino)) {
    checkSealedXattrs(pass, inode, rows)
    return
  }
  let right = flags & ~(InodeFlag.HAS_XATTR | InodeFlag.HAS_ACCESS_ACL | InodeFlag.HAS_DEFAULT_ACL)
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

/** Which of them are ACLs only the key tells: those flags stay as they are. */
function checkSealedXattrs({ db, findings }: Pass, { ino, flags }: InodeRow, rows: Iterable<XattrRow>): void {
  let hasAny = false
  for (const [, name, length] of rows) {
    hasAny = true
    if (!isCell(name))
      findings.add({ kind: "xattr", ino, message: `an encrypted attribute's name of ${name.length} bytes` })
    if (length < BLOB_OVERHEAD || length > VALUE_MAX + BLOB_OVERHEAD)
      findings.add({ kind: "xattr", ino, message: `an encrypted attribute's value of ${length} bytes` })
  }
  if (flags < 0 || flags >= 2 ** 32 || hasAny === ((flags & InodeFlag.HAS_XATTR) !== 0)) return
  const value = (hasAny ? flags | InodeFlag.HAS_XATTR : flags & ~InodeFlag.HAS_XATTR) >>> 0
  findings.add({
    kind: "xattr",
    ino,
    message: "the flags of the inode do not fit its extended attributes",
    repair: () => change(db, "UPDATE inode SET flags = ? WHERE ino = ?", value, ino),
  })
}
