/** What a failed system call means for the path that a client has sent, as one sentence. */
import { errnoName } from "../core/errno.ts"
import { Fault, SysFault, describe, kindOfThrown } from "../core/fault.ts"

export const TOO_LONG = "is too long: a name has at most 255 bytes, a path 4095"

const SENTENCES: Readonly<Record<string, string | undefined>> = {
  ENOENT: "does not exist",
  ENOTDIR: "is no directory, or leads through something that is none",
  EISDIR: "is a directory",
  ELOOP: "leads through too many symbolic links, or through one that can't be followed here",
  EACCES: "is not permitted to this server",
  EPERM: "is not permitted to this server, or is immutable",
  EEXIST: "exists",
  ENOTEMPTY: "is not empty",
  ENAMETOOLONG: TOO_LONG,
  EROFS: "lies on a read-only filesystem",
  ENOSPC: "can't be written: the disk is full",
  EDQUOT: "can't be written: a quota is used up",
  ENOKEY: "lies in a locked encrypted tree: clawfs unlock opens it",
  ENOTCONN: "can't be reached: the filesystem's daemon has ended",
  ENXIO: "is nothing that can be read",
  EBUSY: "is in use",
  EMFILE: "can't be opened: too many files are open",
  EXDEV: "leads out of the directory that this server may use",
}

/** The fault to tell the client of `thrown`; what is no failed system call comes back as it is. */
export function failure(path: string, thrown: unknown): unknown {
  const code = codeOf(thrown)
  if (code === undefined) return thrown
  const sentence = SENTENCES[code] ?? `can't be used (${code})`
  return new Fault(kindOfThrown(thrown), `${path} ${sentence}`, { cause: thrown })
}

/** Runs `work` on `path`; what the system refuses becomes a sentence about it. */
export function explained<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    throw failure(path, thrown)
  }
}

/** "ENOENT"; undefined for what is no failed system call. */
export function codeOf(thrown: unknown): string | undefined {
  if (thrown instanceof SysFault) return errnoName(thrown.errno)
  const { code, syscall, errno } = thrown as NodeJS.ErrnoException
  if (syscall === undefined) return undefined
  // Node has no names for the rarer numbers.
  return code?.startsWith("E") === true ? code : errnoName(Math.abs(errno ?? 0))
}

/** One line for a client, whatever was thrown. */
export function sentenceOf(thrown: unknown): string {
  if (thrown instanceof Fault)
    return thrown.hint === undefined ? thrown.message : `${thrown.message}: ${thrown.hint}`
  return `internal error: ${describe(thrown)}`
}
