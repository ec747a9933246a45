/** When setuid and setgid bits go: chown, and writes by those who may not keep them (HANDLE_KILLPRIV_V2 leaves it to us). */
import { readFileSync } from "node:fs"
import type { InHeader } from "../fuse/abi.ts"
import { S_ISGID, S_ISUID, S_IXGRP, type Inode } from "../store/inode.ts"

/**
 * Clears what `setattr_should_drop_suidgid` in the kernel's fs/attr.c would: setuid always, setgid if the group may
 * execute, or if the caller is neither in the group nor privileged. Directories keep theirs.
 */
export function dropPrivileges(inode: Inode, request: InHeader): void {
  if (inode.isDirectory) return
  inode.mode &= ~S_ISUID
  if ((inode.mode & S_ISGID) === 0) return
  if ((inode.mode & S_IXGRP) !== 0 || !isMember(request, inode.gid)) inode.mode &= ~S_ISGID
}

/**
 * Whether `dropPrivileges` has to look at the caller's groups: what it finds may be gone when the request is executed
 * again, so such a request must not be left to the journal.
 */
export function dependsOnCaller(inode: Inode, request: InHeader): boolean {
  const isDoubtful = (inode.mode & (S_ISGID | S_IXGRP)) === S_ISGID && !inode.isDirectory
  return isDoubtful && request.uid !== 0 && request.gid !== inode.gid
}

function isMember(request: InHeader, gid: number): boolean {
  return request.uid === 0 || request.gid === gid || supplementaryGroups(request.pid).includes(gid)
}

/** Asked for only when a setgid bit without group execution is written to by a stranger: rare enough to read /proc. */
function supplementaryGroups(pid: number): number[] {
  try {
    const groups = /^Groups:\t?(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? ""
    return groups.trim().split(/\s+/).filter(Boolean).map(Number)
  } catch {
    // The caller is gone or in another PID namespace: without proof of membership the bit goes.
    return []
  }
}
