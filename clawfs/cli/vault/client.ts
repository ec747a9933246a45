/** One request to the vault's process. Secrets go through pipes that are passed along, never in the message. */
import { closeSync, existsSync, readSync, writeSync } from "node:fs"
import { join } from "node:path"
import { newSecret } from "../../../keyring/secret.ts"
import type { PersonSecret } from "../../../keyring/secret-protector.ts"
import { VaultLink } from "../../api/vault-link.ts"
import { Fault } from "../../core/fault.ts"
import { checked } from "../../sys/ffi.ts"
import { fcntl } from "../../sys/libc.ts"
import { memoryFile } from "../../sys/memory-file.ts"
import { pipe } from "../../sys/pipes.ts"

const DATABASE = "vault.db"
/** argon2id, a TPM, a rotation of many secrets: the vault answers one after the other. */
const TIMEOUT_SECONDS = 120
const F_ADD_SEALS = 1033
const F_SETPIPE_SZ = 1031
/** A new pipe's. */
const PIPE_BYTES = 64 * 1024
/** seal, shrink, grow, write */
const ALL_SEALS = 1 | 2 | 4 | 8

/** Descriptors that go with a request; closed with this. */
export class Attachments implements Disposable {
  readonly fds: number[] = []
  readonly #own: number[] = []

  /** The place of a pipe's end from which `bytes` can be read. At most 1 MiB: what everybody's pipe may hold (pipe(7)). */
  give(bytes: Uint8Array): number {
    const [reading, writing] = pipe()
    this.#own.push(reading)
    try {
      if (bytes.length > PIPE_BYTES)
        checked("fcntl", fcntl(writing, F_SETPIPE_SZ, 2 ** Math.ceil(Math.log2(bytes.length))))
      for (let at = 0; at < bytes.length;) at += writeSync(writing, bytes, at)
    } finally {
      closeSync(writing)
    }
    return this.fds.push(reading) - 1
  }

  /** The same for what is not secret, and may be long: a file in memory that can't be changed any more. */
  giveFile(bytes: Uint8Array): number {
    const fd = memoryFile("clawfs-vault-request", "sealable")
    this.#own.push(fd)
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, at)
    checked("fcntl", fcntl(fd, F_ADD_SEALS, ALL_SEALS))
    return this.fds.push(fd) - 1
  }

  /** The same for what a person has. */
  person({ kind, secret }: PersonSecret): { kind: PersonSecret["kind"]; fd: number } {
    return { kind, fd: this.give(secret) }
  }

  /** The place of a pipe's end that the vault writes to, and the other end. */
  take(): { readonly place: number; readonly reading: number } {
    const [reading, writing] = pipe()
    this.#own.push(reading, writing)
    return { place: this.fds.push(writing) - 1, reading }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#own.splice(0)) closeSync(fd)
  }
}

/** Up to `most` bytes that the vault wrote; the caller wipes them. */
export function readTaken(reading: number, most: number): Buffer {
  const bytes = newSecret(most)
  const length = readSync(reading, bytes, 0, most, null)
  return bytes.subarray(0, length)
}

/** Whether a process has the vault unlocked. */
export function isUnlocked(directory: string): boolean {
  using link = VaultLink.connect(directory, TIMEOUT_SECONDS)
  return link !== undefined
}

/** Asks the vault's process; `timeoutSeconds` 0 waits for ever. Throws `Fault("locked")` where none is, and its own fault otherwise. */
export function callVault(
  directory: string,
  method: string,
  params: Readonly<Record<string, unknown>> = {},
  fds: readonly number[] = [],
  timeoutSeconds = TIMEOUT_SECONDS,
): unknown {
  using link = VaultLink.connect(directory, timeoutSeconds)
  if (link === undefined) throw noVaultProcess(directory)
  return link.request(method, params, fds)
}

/** Why nobody answers there. */
export function noVaultProcess(directory: string): Fault {
  if (existsSync(join(directory, DATABASE)))
    return new Fault("locked", "the vault is locked", { hint: "clawfs vault unlock" })
  return new Fault("not-found", `there is no vault in ${directory}`, { hint: "clawfs vault init" })
}
