/** A key file: 32 bytes or more, as random as possible. Its owner alone may be able to read it. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs"
import { Fault } from "../clawfs/core/fault.ts"
import { KEY_BYTES, newSecret } from "./secret.ts"
import { SourceKind, type KeySource } from "./slots.ts"

const KEY_FILE_MAX = 8192
const OTHERS = 0o077

/** Reads a key file. Throws a `Fault` for one that is missing, others can read, is too short or no regular file. */
export function readKeyFile(path: string): KeySource {
  const secret = readOwn(path, "key file")
  if (secret.length < KEY_BYTES) {
    secret.fill(0)
    throw new Fault(
      "invalid",
      `the key file ${path} has ${secret.length} bytes, it needs at least ${KEY_BYTES}`,
      {
        hint: `make one: head -c ${KEY_BYTES} /dev/urandom > FILE, with umask 077`,
      },
    )
  }
  return sourceOf(SourceKind.KEY_FILE, secret)
}

export function sourceOf(kind: SourceKind, secret: Buffer, kdf?: KeySource["kdf"]): KeySource {
  return { kind, secret, kdf, [Symbol.dispose]: () => void secret.fill(0) }
}

/** A file that is the caller's (or root's, who could read it anyway) and nobody else's to read. */
export function readOwn(path: string, what: string): Buffer {
  const fd = openOwn(path, what)
  try {
    const { uid, mode, size } = fstatSync(fd)
    if (!isRegular(mode)) throw new Fault("invalid", `the ${what} ${path} is not a regular file`)
    if (uid !== process.getuid?.())
      throw new Fault("denied", `the ${what} ${path} belongs to another user (number ${uid})`)
    if ((mode & OTHERS) !== 0)
      throw new Fault("denied", `others can read or write the ${what} ${path}`, { hint: `chmod 600 ${path}` })
    if (size > KEY_FILE_MAX)
      throw new Fault("invalid", `the ${what} ${path} is longer than ${KEY_FILE_MAX} bytes`)
    return readAll(fd, size)
  } finally {
    closeSync(fd)
  }
}

function isRegular(mode: number): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFREG
}

function openOwn(path: string, what: string): number {
  try {
    // Without O_NONBLOCK a FIFO would wait for a writer before it can be refused.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT") throw new Fault("not-found", `there is no ${what} ${path}`, { cause })
    if (code === "EACCES") throw new Fault("denied", `no permission to read the ${what} ${path}`, { cause })
    throw cause
  }
}

/** Up to `most` bytes of a descriptor, until it ends. */
export function readAll(fd: number, most: number): Buffer {
  const bytes = newSecret(most)
  let length = 0
  while (length < most) {
    const got = readSync(fd, bytes, length, most - length, null)
    if (got === 0) break
    length += got
  }
  return bytes.subarray(0, length)
}
