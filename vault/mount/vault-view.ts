/** What the mount of a vault shows and takes; the vault's process gives it (vault/service/mounted.ts). */
import type { Subject } from "../audit.ts"

/** Documents in the mount's root, as the specification names them. */
export const DOCUMENTS = [
  "master-key.enc",
  "metadata.json",
  "spec-signatures.json",
  "system-manifest.json",
] as const
export type DocumentName = (typeof DOCUMENTS)[number]

export interface SecretStat {
  /** Of the newest value. */
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly created: number
  readonly changed: number
}

export interface VaultView {
  /** Names of the secrets that are in use, in order. */
  names(): readonly string[]
  /** Undefined for a name without a secret. */
  stat(name: string): SecretStat | undefined
  /** The newest version, encrypted, as JSON. */
  sealed(name: string): Buffer | undefined
  /** Undefined for one that the vault does not have. */
  document(name: DocumentName): Buffer | undefined
  /** Who asks, as far as the kernel tells of the thread `tid`; `inFull` also which program. Throws when it is gone. */
  callerOf(tid: number, uid: number, inFull: boolean): Subject
  /** Gives `work` the newest value, if a grant says so, and writes it down. Throws a `Fault` otherwise. */
  reveal(name: string, caller: Subject, work: (value: Buffer) => void): void
  /** Writes down that somebody could not be told from others. Always throws. */
  refuse(name: string, caller: Subject, reason: string): never
  /** Stores a value as the next version. */
  store(name: string, caller: Subject, value: Buffer): void
}
