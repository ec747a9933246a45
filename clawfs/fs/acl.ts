/**
 * POSIX access control lists in their xattr form (linux/posix_acl_xattr.h: version u32, then entries of tag u16,
 * permissions u16, id u32). The kernel validates and enforces them; what is left to the server is to keep mode and ACL in
 * step (acl(5), "CORRESPONDENCE BETWEEN ACL ENTRIES AND FILE PERMISSION BITS") and to apply a directory's default ACL to
 * what is made in it ("OBJECT CREATION AND DEFAULT ACLs").
 */

export const ACCESS_ACL = Buffer.from("system.posix_acl_access", "latin1")
export const DEFAULT_ACL = Buffer.from("system.posix_acl_default", "latin1")

const VERSION = 2
const HEADER = 4
const ENTRY = 8

const Tag = { USER_OBJ: 0x01, USER: 0x02, GROUP_OBJ: 0x04, GROUP: 0x08, MASK: 0x10, OTHER: 0x20 } as const

interface Entry {
  readonly tag: number
  readonly permissions: number
  readonly id: number
}

/** The entries, or undefined for bytes that are no ACL. */
export function decodeAcl(value: Buffer): Entry[] | undefined {
  if (value.length < HEADER || (value.length - HEADER) % ENTRY !== 0 || value.readUInt32LE(0) !== VERSION)
    return undefined
  const entries: Entry[] = []
  for (let at = HEADER; at < value.length; at += ENTRY) {
    entries.push({
      tag: value.readUInt16LE(at),
      permissions: value.readUInt16LE(at + 2),
      id: value.readUInt32LE(at + 4),
    })
  }
  return entries
}

export function encodeAcl(entries: readonly Entry[]): Buffer {
  const value = Buffer.alloc(HEADER + entries.length * ENTRY)
  value.writeUInt32LE(VERSION, 0)
  entries.forEach(({ tag, permissions, id }, index) => {
    const at = HEADER + index * ENTRY
    value.writeUInt16LE(tag, at)
    value.writeUInt16LE(permissions, at + 2)
    value.writeUInt32LE(id, at + 4)
  })
  return value
}

/** The nine permission bits that stat shows for an access ACL: the mask stands for the group where there is one. */
export function modeOfAcl(entries: readonly Entry[]): number {
  const of = (tag: number): number => entries.find((entry) => entry.tag === tag)?.permissions ?? 0
  const hasMask = entries.some((entry) => entry.tag === Tag.MASK)
  return (of(Tag.USER_OBJ) << 6) | (of(hasMask ? Tag.MASK : Tag.GROUP_OBJ) << 3) | of(Tag.OTHER)
}

/** Whether the ACL says no more than the nine permission bits do: then it need not be stored. */
export function isMinimal(entries: readonly Entry[]): boolean {
  return entries.every(({ tag }) => tag === Tag.USER_OBJ || tag === Tag.GROUP_OBJ || tag === Tag.OTHER)
}

/** The access ACL after chmod: owner, mask (or group) and other follow the mode. */
export function aclWithMode(entries: readonly Entry[], mode: number): Entry[] {
  const hasMask = entries.some((entry) => entry.tag === Tag.MASK)
  const groupTag = hasMask ? Tag.MASK : Tag.GROUP_OBJ
  return entries.map((entry) => {
    if (entry.tag === Tag.USER_OBJ) return { ...entry, permissions: (mode >> 6) & 7 }
    if (entry.tag === groupTag) return { ...entry, permissions: (mode >> 3) & 7 }
    if (entry.tag === Tag.OTHER) return { ...entry, permissions: mode & 7 }
    return entry
  })
}

/**
 * What a new object gets from its directory's default ACL: the entries limited by the mode that the program asked for.
 * The umask does not count. Returns the resulting permission bits too.
 */
export function inheritAcl(
  defaults: readonly Entry[],
  mode: number,
): { entries: Entry[]; permissions: number } {
  const hasMask = defaults.some((entry) => entry.tag === Tag.MASK)
  const groupTag = hasMask ? Tag.MASK : Tag.GROUP_OBJ
  const entries = defaults.map((entry) => {
    if (entry.tag === Tag.USER_OBJ) return { ...entry, permissions: entry.permissions & (mode >> 6) & 7 }
    if (entry.tag === groupTag) return { ...entry, permissions: entry.permissions & (mode >> 3) & 7 }
    if (entry.tag === Tag.OTHER) return { ...entry, permissions: entry.permissions & mode & 7 }
    return entry
  })
  return { entries, permissions: modeOfAcl(entries) }
}
