/** Vaults in directories of their own. A key file opens them, because that takes no time. */
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ProtectorKind } from "../../keyring/protector.ts"
import type { PersonSecret } from "../../keyring/secret-protector.ts"
import type { Subject } from "../../vault/audit.ts"
import { createVault, type NewVault, type TpmChoice } from "../../vault/create.ts"
import { VaultDatabase } from "../../vault/database.ts"
import { unlock, type Given } from "../../vault/unlock.ts"
import { Vault } from "../../vault/vault.ts"
import type { Step } from "../../vault/rotate.ts"

export const SUBJECT: Subject = { uid: 1000, pid: 4242, program: "/usr/bin/test" }
export const KEY: PersonSecret = { kind: ProtectorKind.KEY_FILE, secret: randomBytes(32) }
export const RECOVERY: PersonSecret = { kind: ProtectorKind.RECOVERY, secret: randomBytes(32) }

export class TestVault implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "clawfs-vault-"))
  readonly #open: Disposable[] = []

  constructor(tpm?: TpmChoice, options: Partial<NewVault> = {}) {
    createVault(this.directory, {
      ...{ people: [KEY, RECOVERY], tpm, idleSeconds: 0, subject: SUBJECT },
      ...options,
    })
  }

  database(): VaultDatabase {
    const db = VaultDatabase.open(this.directory)
    this.#open.push(db)
    return db
  }

  /** Unlocked by the key file unless something else is given. */
  open(given: Given = { person: KEY }, step?: Step): Vault {
    const db = this.database()
    const vault = new Vault(db, unlock(db, { inKernel: false, ...given }).keys, step)
    this.#open.push(vault)
    return vault
  }

  close(): void {
    for (const each of this.#open.splice(0).reverse()) each[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.close()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** What `get` gives. */
export function valueOf(vault: Vault, name: string, version?: number): string {
  return vault.use(SUBJECT, "get", { name, version }, (value) => value.toString())
}
