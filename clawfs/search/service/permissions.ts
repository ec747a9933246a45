/** What a user may see: the kernel's rules (path_resolution(7), acl(5)) on the store's inodes. Root sees everything. */
import { InodeFlag, type Inode } from "../../store/inode.ts"
import type { Store } from "../../store/store.ts"

export interface Caller {
  readonly uid: number
  /** The primary group and all others. */
  readonly groups: readonly number[]
}

export const READ = 4
export const ENTER = 1

const ACCESS_ACL = Buffer.from("system.posix_acl_access")
/** struct posix_acl_xattr_header, and posix_acl_xattr_entry { u16 tag; u16 perm; u32 id } */
const ACL_HEADER = 4
const ACL_ENTRY = 8
const Tag = { USER_OBJ: 1, USER: 2, GROUP_OBJ: 4, GROUP: 8, MASK: 16, OTHER: 32 } as const

/** Whether the caller has the right (READ, ENTER) on an inode; the directories above are not looked at. */
export function may(store: Store, inode: Inode, { uid, groups }: Caller, right: number): boolean {
  if (uid === 0) return true
  if (inode.uid === uid) return ((inode.mode >> 6) & right) === right
  const acl = inode.has(InodeFlag.HAS_ACCESS_ACL) ? store.xattrs.get(inode, ACCESS_ACL) : undefined
  if (acl !== undefined) return mayByAcl(acl, inode, { uid, groups }, right)
  const bits = groups.includes(inode.gid) ? inode.mode >> 3 : inode.mode
  return (bits & right) === right
}

/** acl(5), "Access check algorithm", behind the owner. */
function mayByAcl(acl: Buffer, inode: Inode, { uid, groups }: Caller, right: number): boolean {
  const entries = Array.from({ length: Math.floor((acl.length - ACL_HEADER) / ACL_ENTRY) }, (_, i) => {
    const at = ACL_HEADER + i * ACL_ENTRY
    return { tag: acl.readUInt16LE(at), perm: acl.readUInt16LE(at + 2), id: acl.readUInt32LE(at + 4) }
  })
  const mask = entries.find(({ tag }) => tag === Tag.MASK)?.perm ?? 7
  const user = entries.find(({ tag, id }) => tag === Tag.USER && id === uid)
  if (user !== undefined) return (user.perm & mask & right) === right
  const mine = entries.filter(
    ({ tag, id }) =>
      (tag === Tag.GROUP_OBJ && groups.includes(inode.gid)) || (tag === Tag.GROUP && groups.includes(id)),
  )
  if (mine.length > 0) return mine.some(({ perm }) => (perm & mask & right) === right)
  const other = entries.find(({ tag }) => tag === Tag.OTHER)?.perm ?? 0
  return (other & right) === right
}
