/** Every table of the suite, by the call or the subject it is about. */
import { cases as acl } from "./cases/acl.ts"
import { cases as atime } from "./cases/atime.ts"
import { cases as chmod } from "./cases/chmod.ts"
import { cases as chown } from "./cases/chown.ts"
import { cases as copy } from "./cases/copy.ts"
import { cases as execution } from "./cases/execution.ts"
import { cases as fallocate } from "./cases/fallocate.ts"
import { cases as flags } from "./cases/flags.ts"
import { cases as inode } from "./cases/inode.ts"
import { cases as io } from "./cases/io.ts"
import { cases as killpriv } from "./cases/killpriv.ts"
import { cases as link } from "./cases/link.ts"
import { cases as locks } from "./cases/locks.ts"
import { cases as mkdir } from "./cases/mkdir.ts"
import { cases as mknod } from "./cases/mknod.ts"
import { cases as mmap } from "./cases/mmap.ts"
import { cases as open } from "./cases/open.ts"
import { cases as openSpecial } from "./cases/open-special.ts"
import { cases as permissions } from "./cases/permissions.ts"
import { cases as readdir } from "./cases/readdir.ts"
import { cases as readOnly } from "./cases/read-only.ts"
import { cases as rename } from "./cases/rename.ts"
import { cases as rmdir } from "./cases/rmdir.ts"
import { cases as seek } from "./cases/seek.ts"
import { cases as statfs } from "./cases/statfs.ts"
import { cases as sticky } from "./cases/sticky.ts"
import { cases as symlink } from "./cases/symlink.ts"
import { cases as times } from "./cases/times.ts"
import { cases as truncate } from "./cases/truncate.ts"
import { cases as unlink } from "./cases/unlink.ts"
import { cases as utimensat } from "./cases/utimensat.ts"
import { cases as xattr } from "./cases/xattr.ts"
import type { Tables } from "./suite.ts"

export const tables: Tables = {
  ...{
    chmod,
    chown,
    link,
    mkdir,
    mknod,
    open,
    "open-special": openSpecial,
    rename,
    rmdir,
    symlink,
    unlink,
    sticky,
  },
  ...{ permissions, killpriv, acl, flags, xattr, times, atime, utimensat },
  ...{
    io,
    truncate,
    fallocate,
    seek,
    copy,
    mmap,
    locks,
    readdir,
    inode,
    statfs,
    execution,
    "read-only": readOnly,
  },
}
