/** What every inode begins as. */
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import { now } from "../sys/clock.ts"
import { Inode, S_IFDIR } from "./inode.ts"

/** Directories show this size, as on ext4: `du` and `ls` look familiar. */
const DIRECTORY_SIZE = 4096

/** An inode as it is born, stamped with now; the caller inserts it. A directory counts its own `.`. */
export function newInode(ino: NodeId, mode: number, uid: number, gid: number, rdev: number): Inode {
  const isDirectory = (mode & 0o170000) === S_IFDIR
  const inode = new Inode(ino, mode, isDirectory ? 2 : 1, uid, gid, rdev)
  const t = now()
  inode.touchContents(t)
  inode.touchAccess(t)
  inode.btime = t.seconds
  inode.btimeNanos = t.nanos
  inode.extentsEnd = 0
  inode.isSole = true
  inode.beginEmpty()
  if (isDirectory) {
    inode.size = DIRECTORY_SIZE
    inode.parent = ROOT_NODE
  }
  return inode
}
