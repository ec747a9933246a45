/** Notes the audit's end in the TPM and kills itself at a step. */
import { unlock } from "../../../vault/unlock.ts"
import { VaultDatabase } from "../../../vault/database.ts"
import { TpmNote } from "../../../vault/tpm-note.ts"
import { Vault } from "../../../vault/vault.ts"

const [, , directory = "", wanted = ""] = process.argv
const self = { uid: 0, pid: process.pid }
const stopAt = (step: string): void => {
  if (step === wanted) process.kill(process.pid, "SIGKILL")
}
const db = VaultDatabase.open(directory)
const vault = new Vault(db, unlock(db).keys, stopAt)
const note = new TpmNote(db, vault, self, stopAt)
vault.put(self, "child", Buffer.from(wanted))
note.last()
