/** Mounts that belong to no namespace yet (open_tree(2), Linux 5.2): passed to another process, they get a name there. */
import { bind, checked } from "./ffi.ts"

const openTree = bind<[number: number, fd: number, path: string, flags: number]>(
  "long syscall(long, long, const char*, long)",
)

/** asm-generic/unistd.h: the same number on every architecture. */
const SYS_OPEN_TREE = 428
const OPEN_TREE_CLONE = 1
const AT_EMPTY_PATH = 0x1000
const O_CLOEXEC = 0x8_0000

/**
 * A mount of the file or directory that `fd` stands for, alone, without what is mounted below; takes CAP_SYS_ADMIN. Closing
 * it, unless it was moved to a place meanwhile, unmounts it. Throws EINVAL for what lies in another mount namespace.
 */
export function detachedMount(fd: number): number {
  return checked("open_tree", openTree(SYS_OPEN_TREE, fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | O_CLOEXEC))
}
