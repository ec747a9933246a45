/** The tables that salvage reads, with the columns that it needs. */
import type { TableShape } from "./tolerant.ts"

export const INODE: TableShape = {
  name: "inode",
  keys: 1,
  columns: [
    ...["ino", "mode", "nlink", "uid", "gid", "rdev", "size", "alloc", "flags", "parent"],
    ...["inline_offset", "inline_length", "atime", "atime_nanos", "mtime", "mtime_nanos"],
    ...["ctime", "ctime_nanos", "btime", "btime_nanos", "tree", "body"],
  ],
}
export const DENTRY: TableShape = {
  name: "dentry",
  keys: 2,
  columns: ["parent", "cookie", "name", "ino", "type"],
}
export const SYMLINK: TableShape = { name: "symlink", keys: 1, columns: ["ino", "target"] }
export const XATTR: TableShape = { name: "xattr", keys: 2, columns: ["ino", "name", "value"] }
export const INLINE: TableShape = { name: "inline", keys: 1, columns: ["body", "data"] }
export const EXTENT: TableShape = {
  name: "extent",
  keys: 2,
  columns: ["body", "offset", "length", "segment", "position", "record", "skip", "plain", "sequence"],
}
export const TREE: TableShape = {
  name: "tree",
  keys: 1,
  columns: ["id", "parent", "flags", "key", "limit_bytes", "limit_inodes", "used_bytes", "used_inodes"],
}
