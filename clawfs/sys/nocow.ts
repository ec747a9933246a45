/**
 * Files that are overwritten in place on btrfs. Copy-on-write needs space for every page that is written again; on a full
 * disk a store to a mapped page then ends the process (SIGBUS). For a file with the attribute C (ioctl_iflags(2)) its own
 * space is enough. Of a directory it is passed on to the files that are made in it.
 */
import { closeSync, openSync, statfsSync } from "node:fs"
import { ioctl } from "./libc.ts"

const BTRFS_SUPER_MAGIC = 0x9123683e
const FS_IOC_GETFLAGS = 0x80086601
const FS_IOC_SETFLAGS = 0x40086602
const FS_NOCOW_FL = 0x0080_0000

/** Sets the attribute for an empty file or a directory on btrfs; on any other filesystem there is nothing to do. */
export function avoidCopyOnWrite(path: string): void {
  if (statfsSync(path).type !== BTRFS_SUPER_MAGIC) return
  const fd = openSync(path, "r")
  try {
    const flags = Buffer.alloc(8)
    if (ioctl(fd, FS_IOC_GETFLAGS, flags) < 0) return
    flags.writeUInt32LE((flags.readUInt32LE(0) | FS_NOCOW_FL) >>> 0, 0)
    // A btrfs that is mounted to compress refuses: then the disk had better not be full.
    ioctl(fd, FS_IOC_SETFLAGS, flags)
  } finally {
    closeSync(fd)
  }
}
