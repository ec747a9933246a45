/**
 * The kernel's keyrings (keyrings(7)) through syscall(2): memory of the kernel that is never swapped or dumped. A session
 * keyring belongs to a process and those that it starts, a process keyring to one process alone; other processes, of the
 * same user too, can't read them. A user's keyring is all his processes', until the machine ends. A thread sees the process keyring only if it was started after the keyring was made.
 */
import { E, type Errno } from "../core/errno.ts"
import { bind, checked, lastErrno, sysFault } from "./ffi.ts"

/** asm/unistd.h of the architectures that Node is built for. */
const NUMBERS: Readonly<Record<string, { readonly addKey: number; readonly keyctl: number } | undefined>> = {
  x64: { addKey: 248, keyctl: 250 },
  arm64: { addKey: 217, keyctl: 219 },
}
const JOIN_SESSION_KEYRING = 1
const SETPERM = 5
const SEARCH = 10
const READ = 11
const SET_TIMEOUT = 15
const INVALIDATE = 21

/** Special numbers of keyrings (keyctl(2)). */
export const Ring = { PROCESS: -2, SESSION: -3, USER: -4 } as const
export type Ring = (typeof Ring)[keyof typeof Ring]
/** The possessor may do everything, nobody else anything, not even see that it is there. */
const POSSESSOR_ONLY = 0x3f00_0000
/** All processes of the user may as well: what is in the user's keyring is possessed by those alone whose session has it. */
const POSSESSOR_AND_USER = 0x3f3f_0000
const TYPE = "user"

const addKeyCall = bind<
  [number: number, type: string, description: string, payload: Uint8Array, length: number, ring: number]
>("long syscall(long, const char*, const char*, const void*, size_t, long)")
const numbersCall = bind<[number: number, command: number, a: number, b: number, c: number, d: number]>(
  "long syscall(long, long, long, long, long, long)",
)
const searchCall = bind<
  [number: number, command: number, ring: number, type: string, description: string, into: number]
>("long syscall(long, long, long, const char*, const char*, long)")
const readCall = bind<
  [number: number, command: number, key: number, into: Uint8Array, length: number, unused: number]
>("long syscall(long, long, long, void*, size_t, long)")

const numbers = NUMBERS[process.arch]

/** Gives this process, and those that it starts from now on, a session keyring of their own. Throws a `SysFault`. */
export function joinSessionKeyring(): void {
  if (numbers === undefined) throw sysFault("keyctl")
  checked("keyctl", numbersCall(numbers.keyctl, JOIN_SESSION_KEYRING, 0, 0, 0, 0))
}

/** Puts a key into a keyring; one of the same name gets the new bytes. Throws a `SysFault`. */
export function addKey(name: string, bytes: Uint8Array, ring: Ring = Ring.SESSION): void {
  if (numbers === undefined) throw sysFault("add_key")
  const key = checked("add_key", addKeyCall(numbers.addKey, TYPE, name, bytes, bytes.length, ring))
  const permissions = ring === Ring.USER ? POSSESSOR_AND_USER : POSSESSOR_ONLY
  checked("keyctl", numbersCall(numbers.keyctl, SETPERM, key, permissions, 0, 0))
}

/** Fills `into` from the key `name`; false where there is none (any more), or it is not as long. */
export function readKey(name: string, into: Uint8Array, ring: Ring = Ring.SESSION): boolean {
  const key = search(name, ring)
  if (key === undefined || numbers === undefined) return false
  return readCall(numbers.keyctl, READ, key, into, into.length, 0) === into.length
}

/** The kernel forgets the key after so many seconds from now; false where there is none (any more). 0: never. */
export function expireKey(name: string, seconds: number, ring: Ring = Ring.SESSION): boolean {
  const key = search(name, ring)
  if (key === undefined || numbers === undefined) return false
  checked("keyctl", numbersCall(numbers.keyctl, SET_TIMEOUT, key, seconds, 0, 0))
  return true
}

/** The key is gone when this returns; none is no error. */
export function dropKey(name: string, ring: Ring = Ring.SESSION): void {
  const key = search(name, ring)
  if (key === undefined || numbers === undefined) return
  checked("keyctl", numbersCall(numbers.keyctl, INVALIDATE, key, 0, 0, 0))
}

/** Not there, or no keyrings at all: in both cases there is no such key. */
const ABSENT: readonly Errno[] = [E.ENOKEY, E.ENOSYS, E.EPERM, E.EACCES]
const EXPIRED = 127
const REVOKED = 128

function search(name: string, ring: Ring): number | undefined {
  if (numbers === undefined) return undefined
  const key = searchCall(numbers.keyctl, SEARCH, ring, TYPE, name, 0)
  if (key >= 0) return key
  const errno = lastErrno()
  if (ABSENT.includes(errno as Errno) || errno === EXPIRED || errno === REVOKED) return undefined
  throw sysFault("keyctl")
}
