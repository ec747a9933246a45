/** What the mount shows of this process's vault, and what it lets be done with it. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Fault } from "../../clawfs/core/fault.ts"
import { SIGNED_DIRECTORY } from "../../clawfs/manifest/signed-manifest.ts"
import type { Subject } from "../audit.ts"
import type { VaultDatabase } from "../database.ts"
import { masterKeyForm, metadataForm, sealedForm } from "../forms.ts"
import type { DocumentName, SecretStat, VaultView } from "../mount/vault-view.ts"
import type { Vault } from "../vault.ts"
import { Versions } from "../versions.ts"
import { requireFreeName } from "./manifest-key.ts"
import { subjectOfThread } from "./caller.ts"

export interface MountedOptions {
  /** The vault's. */
  readonly directory: string
  /** Called before a value is asked for: a canary has its consequences for the caller. */
  readonly guard: (name: string, caller: Subject) => void
  /** Takes one use off a grant to reveal the secret, or throws; called within the use's transaction. */
  readonly take: (secret: Buffer, caller: Subject) => void
  readonly asksInFull: () => boolean
}

export class MountedVault implements VaultView {
  readonly #db: VaultDatabase
  readonly #vault: Vault
  readonly #versions: Versions
  readonly #options: MountedOptions

  constructor(db: VaultDatabase, vault: Vault, options: MountedOptions) {
    this.#db = db
    this.#vault = vault
    this.#versions = new Versions(db)
    this.#options = options
  }

  names(): readonly string[] {
    return this.#vault
      .list()
      .filter(({ metadata }) => metadata.removed === 0)
      .map(({ metadata }) => metadata.name)
  }

  stat(name: string): SecretStat | undefined {
    const entry = this.#vault.find(name)
    if (entry?.metadata.removed !== 0) return undefined
    const { created, changed, latest } = entry.metadata
    return { created, changed, bytes: this.#versions.sizeOf(entry.id, latest) ?? 0 }
  }

  sealed(name: string): Buffer | undefined {
    return sealedForm(this.#db, this.#vault, name)
  }

  document(name: DocumentName): Buffer | undefined {
    switch (name) {
      case "master-key.enc":
        return masterKeyForm(this.#db, this.#vault)
      case "metadata.json":
        return metadataForm(this.#db, this.#vault)
      case "system-manifest.json":
      case "spec-signatures.json": {
        const path = join(this.#options.directory, SIGNED_DIRECTORY, name)
        return existsSync(path) ? readFileSync(path) : undefined
      }
    }
  }

  callerOf(tid: number, uid: number, inFull: boolean): Subject {
    return subjectOfThread(tid, uid, { inFull: inFull && this.#options.asksInFull() })
  }

  reveal(name: string, caller: Subject, work: (value: Buffer) => void): void {
    this.#options.guard(name, caller)
    this.#vault.use(caller, "read", { name }, work, ({ id }) => this.#options.take(id, caller))
    this.#vault.keys.held.touch()
  }

  refuse(name: string, caller: Subject, reason: string): never {
    return this.#vault.audited("read", caller, (about) => {
      const secret = this.#vault.find(name)?.id
      if (secret !== undefined) about.secret = secret
      throw new Fault("denied", reason)
    })
  }

  store(name: string, caller: Subject, value: Buffer): void {
    requireFreeName(name)
    this.#vault.put(caller, name, value)
    this.#vault.keys.held.touch()
  }
}
